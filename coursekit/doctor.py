"""What is installed here, and whether it is what the course was made with."""

import contextlib
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib import metadata

from packaging.requirements import Requirement

from coursekit import __version__, data
from coursekit.threads import cores

#: Seconds that a driver may take to say what GPUs there are.
PATIENCE = 10


def examine() -> dict:
    """Say what is installed, what differs from ``constraints.txt``, whether a GPU is seen, and which data are present.

    Returns
    -------
    dict
        ``coursekit``, ``python``, ``platform`` (str), ``python_supported`` (bool), ``cores`` (int), ``gpu`` (str: what
        the driver says); ``missing``: each package that is needed and not installed, with how to install it;
        ``differ``: each package with another version than in ``constraints.txt``, with both versions; ``data``: each
        file of the catalogue, with its state as of `coursekit.data.status`. All of it can be written as JSON.

    Examples
    --------
    >>> examine()["python_supported"]
    True
    """
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", data.constraints_file().read_text(encoding="utf-8"), re.M))
    installed = _installed()
    try:
        required = metadata.requires("coursekit") or []
    except metadata.PackageNotFoundError:  # a clone that is not installed
        required = ["coursekit"]
    # An extra that contains others lists their packages, too: the smallest that has a package is the one to install.
    sizes = Counter(map(_extra, required))
    used = {
        _plain(re.match(r"[\w.-]+", line)[0]): line
        for line in sorted(required, key=lambda line: sizes[_extra(line)], reverse=True)
    }
    missing = sorted(name for name in used if name not in installed)
    differ = {
        name: {"installed": found, "constraints": version}
        for name, version in pinned.items()
        # 2.13.0+cpu is a 2.13.0, as pip sees it.
        if (found := installed.get(_plain(name), version)) != version and found.split("+")[0] != version
    }
    return {
        "coursekit": __version__,
        "python": platform.python_version(),
        "python_supported": (3, 11) <= sys.version_info[:2] <= (3, 13),
        "platform": platform.platform(),
        "cores": cores(),
        "gpu": _gpu(),
        "missing": {name: _extra(used[name]) for name in missing},
        "differ": differ,
        "data": {name: data.status(name)[0] for name in data.catalogue()},
    }


def _installed() -> dict[str, str]:
    """Return the versions of what is installed; what a failed installation has left says neither name nor version."""
    found = {}
    for dist in metadata.distributions():
        with contextlib.suppress(TypeError, KeyError, OSError, ValueError):
            found[_plain(dist.metadata["Name"])] = dist.version
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _extra(requirement: str) -> str:
    """Return who needs what a line of the package's metadata names, and how to get it."""
    found = re.search(r"extra == ['\"](\w+)['\"]", requirement)
    if not found:
        return "coursekit itself: pip install it again"
    if not Requirement(requirement).marker.evaluate({"extra": found[1]}):
        return f"the extra [{found[1]}], and there is none for this Python or system: see docs/places.md"
    return f'the extra [{found[1]}]: pip install "coursekit[{found[1]}]"'


def _gpu() -> str:
    """What a framework would find, asked of the driver's own tool so that no framework has to be loaded."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "Apple silicon (torch: mps)"
    if not (tool := shutil.which("nvidia-smi")):
        return "none seen; every lesson runs on the CPU"
    try:
        process = subprocess.Popen(
            [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        return f"nvidia-smi cannot be run ({error.strerror}), so no GPU is seen; every lesson runs on the CPU"
    try:
        told, complained = (_in_a_line(text) for text in process.communicate(timeout=PATIENCE))
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # nothing ends what waits for a wedged driver
            process.wait(1)
        for pipe in (process.stdout, process.stderr):
            pipe.close()
        return f"nvidia-smi does not answer within {PATIENCE} s: the driver hangs, and so would a framework"
    if process.returncode:
        return f"nvidia-smi says: {complained or told or f'exit status {process.returncode}'}"
    return told or "nvidia-smi lists none; every lesson runs on the CPU"


def _in_a_line(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "".join(letter for letter in "; ".join(filter(None, lines)) if letter.isprintable())[:300]
