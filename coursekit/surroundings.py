"""What a process finds around it and the course does without: a home folder, an output that knows all letters."""

import contextlib
import importlib
import io
import os
import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "FOLDERS",
    "do_without_home",
    "lent_by",
    "load_triton_before_tensorflow",
    "prepare_frameworks",
    "print_all_letters",
]

#: How the libraries of the lessons are told where to keep fonts, settings and sockets. Without, matplotlib and Jupyter
#: fail where the user has no home folder, as in a container that runs under any number, and Keras makes a folder "~".
FOLDERS = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "KERAS_HOME", "MPLCONFIGDIR")


def do_without_home() -> None:
    """Let the libraries that are loaded from now on use a temporary folder if the home folder is no use.

    It is deleted when Python ends. What the environment says already is left as it is.
    """
    try:
        home = Path.home()
        usable = home.is_dir() and os.access(home, os.W_OK | os.X_OK)
    except (RuntimeError, KeyError, OSError):  # nobody knows this user, or he may not look there
        usable = False
    if usable or all(name in os.environ for name in FOLDERS):
        return
    import atexit
    import shutil
    import tempfile

    try:
        folder = tempfile.mkdtemp(prefix="coursekit-")
    except OSError:  # no place for temporary files either: the libraries say so themselves
        return
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in FOLDERS:
        os.environ.setdefault(name, os.path.join(folder, name.lower()))


def print_all_letters() -> None:
    """Let what is printed where the locale has no ± or → appear as an escape, in the place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="backslashreplace")


def lent_by() -> str:
    """Return who lends this machine and deletes it with all its files, "Colab" or "Binder"; nothing for others."""
    marks = {"COLAB_RELEASE_TAG": "Colab", "BINDER_LAUNCH_HOST": "Binder"}
    return next((name for variable, name in marks.items() if os.environ.get(variable)), "")


def prepare_frameworks() -> None:
    """Let Keras find the framework that is there, and start without a page of notes; before anything imports it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # Keras takes TensorFlow unless it is told otherwise, even where PyTorch is all there is.
    if find_spec("tensorflow") is None and find_spec("torch") is not None:
        os.environ.setdefault("KERAS_BACKEND", "torch")


def load_triton_before_tensorflow() -> None:
    """Keep a process alive in which both TensorFlow and PyTorch compute.

    Triton comes with PyTorch where there are GPUs, and PyTorch's optimisers load it. After TensorFlow that ends the
    process with a segmentation fault, before TensorFlow it does not (triton 3.7, TensorFlow 2.20). Where TensorFlow is
    loaded already, PyTorch does without Triton, which only ``torch.compile`` needs.
    """
    if find_spec("tensorflow") is None or "triton" in sys.modules or find_spec("triton") is None:
        return
    if "tensorflow" in sys.modules:
        sys.modules["triton"] = None
        return
    with contextlib.suppress(ImportError, OSError, RuntimeError):  # what does not load cannot crash later
        importlib.import_module("triton")
