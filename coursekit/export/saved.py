"""Networks that lie in files, taken out of Python in one go."""

import os
import tempfile
import zipfile
from pathlib import Path

from coursekit.prepared import PreparedSample
from coursekit.surroundings import prepare_frameworks

#: Training jets on which every file is compared with the network.
JETS = 10_000


def export_saved(
    source: str | os.PathLike,
    prepared: str | os.PathLike | None = None,
    *,
    onnx: str | os.PathLike | None = None,
    cpp: str | os.PathLike | None = None,
    lwtnn: str | os.PathLike | None = None,
) -> list[Path]:
    """Write a saved network in other formats, whatever of them is named.

    Parameters
    ----------
    source : path-like
        A network of Keras, ``.keras``; or an ONNX file of `export_onnx`, ``.onnx``, to be written as C++.
    prepared : path-like, optional
        For a Keras network, the `PreparedSample` that it was trained on: inputs, scaler and classes.
    onnx, lwtnn : path-like, optional
        Files to be written by `export_onnx` and `export_lwtnn`.
    cpp : path-like, optional
        Folder to be written by `export_cpp`.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    FileNotFoundError
        There is no such network, or no such sample.
    ImportError
        A package is not installed that a format needs.
    ValueError
        Nothing is to be written, or over something that is read or written, too; the network is of another kind, or
        damaged; a Keras network came without a sample, or something is asked for that an ONNX file cannot become; or as
        the functions of the formats.
    """
    source = Path(source)
    if onnx is None and cpp is None and lwtnn is None:
        raise ValueError("nothing is to be written: name a file with --onnx or --lwtnn, or a folder with --cpp.")
    if not source.is_file():
        raise FileNotFoundError(f"{source} {'is a folder' if source.is_dir() else 'does not exist'}: name a network.")
    _require_apart([source, prepared], {"--onnx": onnx, "--cpp": cpp, "--lwtnn": lwtnn})
    if source.suffix == ".onnx":
        return [_of_onnx(source, prepared, onnx, cpp, lwtnn)]
    if source.suffix != ".keras":
        raise ValueError(f"{source} is neither a network of Keras (.keras) nor an ONNX file (.onnx).")
    if prepared is None:
        raise ValueError(f"{source} says nothing of inputs, scaling and classes: name its sample with --prepared.")
    return _of_keras(source, PreparedSample.load(prepared, parts=["training"]), onnx, cpp, lwtnn)


def _require_apart(read: list, written: dict) -> None:
    """Refuse to write over what is read, or two formats to one name."""
    taken = {os.path.realpath(path): "what is read" for path in read if path is not None}
    if (sample := read[1]) is not None:
        taken[os.path.realpath(Path(sample).with_suffix(".json"))] = f"the variables file of {sample}"
    for option, path in written.items():
        if path is None:
            continue
        real = os.path.realpath(path)
        if real in taken:
            raise ValueError(f"{option} {path} would be written over {taken[real]}: choose another name.")
        taken[real] = f"what {option} writes"


def _of_onnx(source: Path, prepared, onnx, cpp, lwtnn) -> Path:
    from coursekit.export.cpp import export_cpp

    if others := [f"--{name}" for name, value in (("onnx", onnx), ("lwtnn", lwtnn)) if value is not None]:
        raise ValueError(f"{source} is ONNX already and can become C++ alone: for {others[0]} name the Keras network.")
    if prepared is not None:
        raise ValueError(f"{source} has its inputs, scaling and classes inside: leave out --prepared.")
    return export_cpp(source, cpp)


def _of_keras(source: Path, sample: PreparedSample, onnx, cpp, lwtnn) -> list[Path]:
    prepare_frameworks()
    network = load_keras(source)
    arguments = {"classes": sample.classes, "scaler": sample.scaler}
    jets, written = sample["training"].inputs[:JETS], []
    if onnx is not None or cpp is not None:
        from coursekit.export.onnx import export_onnx

        settings = {"network": source.name, "ntuple": sample.source.name}
        with tempfile.TemporaryDirectory() as folder:
            model = export_onnx(
                onnx or Path(folder) / f"{source.stem}.onnx", network, jets, settings=settings, **arguments
            )
            written += [model] if onnx else []
            if cpp is not None:
                from coursekit.export.cpp import export_cpp

                written.append(export_cpp(model, cpp))
    if lwtnn is not None:
        from coursekit.export.lwtnn import export_lwtnn

        written.append(export_lwtnn(lwtnn, network, jets, **arguments))
    return written


def load_keras(source: Path):
    """Return the network of Keras in a file, not compiled.

    Raises
    ------
    ImportError
        Keras is not installed.
    ValueError
        The file is none, or damaged.
    """
    try:
        import keras
    except ImportError as error:
        raise ImportError(
            f"a network of Keras needs Keras and TensorFlow, and {error.name} is missing: "
            'pip install "coursekit[keras]"'
        ) from error
    if not zipfile.is_zipfile(source):  # of which Keras says that it is not there
        raise ValueError(f"{source} cannot be read as a network of Keras: it is none, or was cut off. Save it again.")
    try:
        return keras.saving.load_model(source, compile=False)
    except Exception as error:  # of the archive, of HDF5, of JSON, of Keras
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(
            f"{source} cannot be read as a network of Keras ({reason}): save it with model.save, all of it and not the "
            "weights alone."
        ) from error
