"""What a run was made with: versions, the state of the repository, and the data, by their hashes."""

import contextlib
import hashlib
import importlib.metadata
import subprocess
from pathlib import Path

from coursekit import __version__, data
from coursekit.study.reading import Resolved

__all__ = ["described_inputs", "git_state", "origin_differences", "versions"]

#: The packages whose versions may change a result.
PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "h5py", "uproot", "awkward", "pyarrow", "numexpr", "keras")
PACKAGES += ("tensorflow", "torch", "ray", "optuna", "hyperopt", "pydantic", "pyhf", "matplotlib")


def versions() -> dict[str, str]:
    """Return the versions of what may change a result, as far as it is installed."""
    found = {"coursekit": __version__}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def git_state(folder: Path) -> dict | None:
    """Return the commit that a folder is at and whether files differ from it; None if it is in no repository."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):  # there is no git, no repository, or no commit in it
        return None


def described_inputs(resolved: Resolved) -> list[dict]:
    """Return file, size in bytes and SHA-256 of each data file of a study, in its order.

    Raises
    ------
    FileNotFoundError
        A file is not there.
    """
    inputs, found = resolved.study.input, {}
    for samples in (inputs.signals, inputs.backgrounds, inputs.data):
        for name in (name for sample in samples.values() for name in sample.files):
            path = Path(name) if Path(name).is_absolute() else data.fetch(name)
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            found[name] = {"file": str(name), "bytes": path.stat().st_size, "sha256": digest}
    return list(found.values())


def origin_differences(one: dict, other: dict) -> list[str]:
    """Name what two runs were made with that differs: versions, number of threads, commit, data.

    Parameters
    ----------
    one, other : dict
        What their ``run.json`` say.

    Returns
    -------
    list of str
        ``WHAT: OF ONE -> OF OTHER``.

    Examples
    --------
    >>> origin_differences({"python": "3.11.2"}, {"python": "3.12.1"})
    ['python: 3.11.2 -> 3.12.1']
    """
    lines = []
    for name, first, second in _pairs(one, other):
        if first != second:
            lines.append(f"{name}: {first} -> {second}")
    return lines


def _pairs(one: dict, other: dict):
    for name in ("python", "platform", "threads"):
        yield name, one.get(name, "absent"), other.get(name, "absent")
    first, second = (side.get("versions", {}) for side in (one, other))
    for name in dict.fromkeys([*first, *second]):
        yield name, first.get(name, "absent"), second.get(name, "absent")
    yield "git", *(_commit(side.get("git")) for side in (one, other))
    first, second = ({entry["file"]: entry["sha256"][:12] for entry in side.get("inputs", ())} for side in (one, other))
    for name in dict.fromkeys([*first, *second]):
        yield name, first.get(name, "absent"), second.get(name, "absent")


def _commit(state: dict | None) -> str:
    return state["commit"][:12] + " with changes" * state["dirty"] if state else "no repository"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", folder or ".", *arguments], capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()
