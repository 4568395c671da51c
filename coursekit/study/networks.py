"""The networks of a study: by name, or from a function of one's own; built, and looked at before they are trained."""

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from coursekit.words import listed, near

#: What each network may be told, besides the sizes of its inputs and outputs: known here so that a study file can be
#: read without loading a framework. A test compares them with the builders.
OPTIONS = {
    "dense": ("hidden", "activation", "dropout"),
    "cnn": ("filters", "dense", "dropout"),
    "deep_sets": ("phi", "latent", "rho", "pooling"),
    "energy_flow": ("phi", "latent", "rho"),
    "boosted_trees": (
        *("max_iter", "learning_rate", "max_leaf_nodes", "max_depth", "min_samples_leaf", "l2_regularization"),
        *("max_features", "max_bins"),
    ),
}
#: What each of them takes.
_TAKES = {"dense": "table", "boosted_trees": "table", "cnn": "picture", "deep_sets": "set", "energy_flow": "set"}
_IN_WORDS = {
    "table": "tables, one row of inputs an event",
    "picture": "pictures (H, W, C)",
    "set": "sets of constituents",
}
_ROUNDING = 1e-3


def require_options(network: str, options: Iterable[str]) -> None:
    """Refuse a network that does not exist, or options that it does not have, as far as that costs nothing.

    Parameters
    ----------
    network : str
        A name, or ``module:function``, whose options are looked at when it is built.
    options : iterable of str

    Raises
    ------
    ValueError
        There is no such network, or no such option.

    Examples
    --------
    >>> require_options("dense", ["droput"])
    Traceback (most recent call last):
        ...
    ValueError: the network dense has no option 'droput'; did you mean 'dropout'? It has hidden, activation, dropout
    """
    if ":" in network:
        module, _, function = network.rpartition(":")
        parts = [Path(module).stem] if module.endswith(".py") else module.split(".")
        if not all(part.isidentifier() for part in [*parts, function]):
            raise ValueError(
                f"{network!r} is no function of a module: write module:function, such as nets:mine for the function "
                "`mine` in nets.py beside the study file"
            )
        return
    if network not in OPTIONS:
        raise ValueError(
            f"there is no network {network!r};{near(network, OPTIONS)} There are {listed(OPTIONS)}, and your own as "
            "module:function"
        )
    _require_known(network, options, OPTIONS[network])


def located(network: str, folder: str | os.PathLike) -> str:
    """Return the name of a network with the whole path of its module, if that lies in a folder.

    So a study finds it wherever it is run, on another machine of a cluster as well.

    Parameters
    ----------
    network : str
    folder : path-like
        Of the study file.

    Returns
    -------
    str
        ``/folder/nets.py:mine`` for ``nets:mine`` if there is such a file; else what came: a name of this course, or a
        module that is installed.

    Examples
    --------
    >>> located("dense", "."), located("installed.nets:mine", ".")
    ('dense', 'installed.nets:mine')
    """
    module, colon, function = network.rpartition(":")
    if not colon:
        return network
    relative = module if module.endswith(".py") else f"{module.replace('.', '/')}.py"
    path = Path(folder).absolute() / relative
    return f"{path}:{function}" if path.is_file() else network


def build(
    network: str,
    options: Mapping,
    shape: int | Sequence[int],
    n_outputs: int,
    kind: str = "table",
    linear: bool = False,
):
    """Build an untrained network of a study.

    Parameters
    ----------
    network : str
        A name, or ``module:function``.
    options : mapping
        Further arguments of its builder.
    shape : int or sequence of int
        F, the inputs of an event or the columns of a constituent; of pictures (H, W, C).
    n_outputs : int
        1 for two classes or a regression, else K.
    kind : {"table", "picture", "set"}
        What an event is.
    linear : bool
        Let the network end without a sigmoid, for a regression; one of your own ends as it likes.

    Returns
    -------
    keras.Model, torch.nn.Module
        Uncompiled; in PyTorch called with (x, counts), whatever the kind, and giving logits.

    Raises
    ------
    ImportError
        A framework is missing; or your module, or something that it imports.
    TypeError
        Your function returns something else.
    ValueError
        The network takes another kind of events, has no such option, or refuses its value.
    """
    if ":" in network:
        model = _own(network, options, shape, n_outputs)
    elif _TAKES[network] != kind:
        fitting = [name for name, takes in _TAKES.items() if takes == kind]
        raise ValueError(
            f"the network {network} takes {_IN_WORDS[_TAKES[network]]}, but the input of this study are "
            f"{_IN_WORDS[kind]}: take {' or '.join(fitting)}"
        )
    else:
        model = _of_course(network, options, shape, n_outputs, linear)
    if framework(model) == "keras":
        if kind == "set":
            raise ValueError(f"the network {network} is one of Keras, which has no packed sets: build it in PyTorch")
        return model
    return model if kind == "set" else _on_events(model, shape)


def framework(model) -> str:
    """Return "keras" or "torch", whatever made a network; TypeError if it is neither.

    Keras on the backend of PyTorch makes modules of both kinds; they are taken as those of Keras.
    """
    bases = {base.__module__.split(".")[0] for base in type(model).__mro__}
    for name in ("keras", "torch"):
        if name in bases:
            return name
    raise TypeError(f"a network is a keras.Model or a torch.nn.Module, but {type(model).__name__} came")


def require_outputs(network: str, give: Callable[[], np.ndarray], n_outputs: int, probabilities: bool) -> None:
    """Refuse a network that does not give what its training takes: tried before hours are spent.

    Parameters
    ----------
    network : str
        Its name, for errors.
    give : callable
        Returns its outputs for a few events, (n, n_outputs) if all is well.
    n_outputs : int
    probabilities : bool
        Whether they have to be probabilities.

    Raises
    ------
    ValueError
        It cannot take the events, gives another shape, NaN or infinity, or no probabilities.

    Examples
    --------
    >>> require_outputs("nets:mine", lambda: np.zeros((8, 2)), n_outputs=1, probabilities=True)
    Traceback (most recent call last):
        ...
    ValueError: the network nets:mine gives an array (8, 2), and one with 1 output for each event is needed
    """
    try:
        outputs = np.asarray(give())
    except MemoryError:
        raise
    except Exception as error:  # of Keras, of PyTorch, of the user
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"the network {network} does not take the events of this study: {reason}") from error
    if outputs.ndim != 2 or outputs.shape[1] != n_outputs:
        plural = "" if n_outputs == 1 else "s"
        raise ValueError(
            f"the network {network} gives an array {outputs.shape}, and one with {n_outputs} output{plural} for each "
            "event is needed"
        )
    if not np.isfinite(outputs).all():
        raise ValueError(f"the network {network} gives NaN or infinity before any training: look at its layers")
    if not probabilities:
        return
    low, high = outputs.min(), outputs.max()
    if low < 0 or high > 1 or (n_outputs > 1 and np.abs(outputs.sum(axis=1) - 1).max() > _ROUNDING):
        last = "sigmoid" if n_outputs == 1 else "softmax"
        raise ValueError(
            f"the network {network} gives no probabilities but outputs from {low:.3g} to {high:.3g}: in Keras a "
            f"classifier ends with a {last}"
        )


def _of_course(network: str, options: Mapping, shape, n_outputs: int, linear: bool):
    _require_known(network, options, OPTIONS[network])
    try:
        if network in ("deep_sets", "energy_flow"):
            from coursekit.nets.deepsets import DeepSets, EnergyFlow

            return (DeepSets if network == "deep_sets" else EnergyFlow)(shape, n_outputs=n_outputs, **options)
        from coursekit.nets.keras_nets import build_cnn, build_dense

        builder = build_dense if network == "dense" else build_cnn
        model = builder(shape, n_classes=max(2, n_outputs), **options)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}: {value}" for name, value in options.items())
        raise ValueError(f"the network {network} refuses its options ({given}): {error}") from error
    if not linear:
        return model
    import keras

    last = keras.layers.Dense(n_outputs, dtype="float32")
    return keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1], last])


def _own(network: str, options: Mapping, shape, n_outputs: int):
    """Call a function of the user."""
    function = _imported(network)
    parameters = inspect.signature(function).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        _require_known(network, options, [p.name for p in parameters][2:])
    model = function(shape if isinstance(shape, int) else tuple(shape), n_outputs, **options)
    try:
        framework(model)
    except TypeError as error:
        raise TypeError(f"{network}: {error}") from error
    return model


def _imported(network: str) -> Callable:
    name, _, function = network.rpartition(":")
    if name.endswith(".py"):
        module = _from_file(Path(name))
    else:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and not f"{name}.".startswith(f"{error.name}."):
                raise
            raise ModuleNotFoundError(
                f"train.network: {network}: there is no module {name}, neither installed nor as "
                f"{name.replace('.', '/')}.py beside the study file",
                name=error.name,
            ) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise ImportError(f"train.network: {network}: {name} has no function {function};{near(function, vars(module))}")
    return found


def _from_file(path: Path):
    """Import a module by its path; two files of one name in two folders are two modules."""
    if not path.is_file():
        raise ModuleNotFoundError(f"train.network: the module {path} does not exist", name=path.stem)
    name = f"{path.stem}_{hashlib.blake2b(path.read_bytes() + str(path).encode(), digest_size=6).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # for what it imports from beside it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(path.parent))
    return module


def _on_events(model, shape):
    """Let a network of PyTorch that takes events (n, F) or (n, H, W, C) be called as one on sets, each event a row."""
    from torch import nn

    class OnEvents(nn.Module):
        def __init__(self):
            super().__init__()
            self.network, self.shape = model, (shape,) if isinstance(shape, int) else tuple(shape)

        def forward(self, x, counts):
            return self.network(x.reshape(len(counts), *self.shape))

    return OnEvents()


def _require_known(network: str, options: Iterable[str], known: Iterable[str]) -> None:
    for name in options:
        if name not in known:
            raise ValueError(f"the network {network} has no option {name!r};{near(name, known)} It has {listed(known)}")
