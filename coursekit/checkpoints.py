"""Checkpoints of a training: all that its next epoch depends on, in one file."""

import copy
import functools
import hashlib
import io
import os
import types
import zipfile
from pathlib import Path

import numpy as np

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError('checkpoints hold PyTorch tensors: pip install "coursekit[torch]"') from error

from coursekit.files import replacing

_VALUES = "values of the "
# What is ours or PyTorch's is known by its name; of any other function the code counts as well.
_KNOWN = ("torch", "coursekit")
_OF_A_MODULE = frozenset(vars(nn.Module()))  # what PyTorch keeps in each of them
_NO_CODE = ("__doc__", "__firstlineno__", "__module__", "__qualname__")
_PLAIN = types.FunctionType | bool | int | float | str


class Checkpoint:
    """The file of one training, which is written after each epoch and from which the training can go on.

    Weights, the state of the optimiser and of the loss scaler, the history, the best weights, and the states of all
    random generators: what goes on from here, on the same device, arrives at the very weights of an uninterrupted
    training. Of two processes that write one file, the last one to finish an epoch has it.

    Parameters
    ----------
    path : path-like
        The file; it need not exist yet, its folder must.
    settings : dict of str to int, float, str or None
        What makes this training: a checkpoint with others is refused. The values of X, a `digest`, are not mentioned
        where X itself is another.
    model : nn.Module
        The classes and the plain attributes of its modules, and the shapes of its tensors, count as settings.
    optimizer : torch.optim.Optimizer
    scaler : torch.amp.GradScaler
    generator : torch.Generator
        On the CPU; the order of the jets comes from it. Its seed counts as a setting.

    Attributes
    ----------
    path : pathlib.Path

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        There is no such folder, or the file is one.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        settings: dict[str, int | float | str | None],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        generator: torch.Generator,
    ):
        self.path, self._generator, self._n_saved = Path(path), generator, 0
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"{self.path}: there is no folder {self.path.parent} for this checkpoint. Make it")
        if self.path.is_dir():
            raise IsADirectoryError(f"{self.path} is a folder: name a file in it for the checkpoint")
        n_parameters = sum(p.numel() for p in model.parameters())
        self._settings = settings | {"seed": generator.initial_seed(), "parameters": n_parameters} | _network(model)
        self._stateful = {"model": model, "optimizer": optimizer, "scaler": scaler}

    def save(self, history: dict[str, list[float]], best: dict[str, torch.Tensor]) -> None:
        """Write the file; it has its name only when it is complete.

        Raises
        ------
        ValueError
            The state of the model holds something that cannot be read back without running foreign code.
        OSError
            The disk is full or the folder cannot be written; the former checkpoint is as it was.
        """
        content = {name: thing.state_dict() for name, thing in self._stateful.items()}
        content |= {"settings": self._settings, "history": history, "best": best}
        # The global generators as well: dropout draws from them.
        content["random"] = {"generator": self._generator.get_state(), "cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            content["random"]["cuda"] = torch.cuda.get_rng_state_all()
        if torch.backends.mps.is_available():
            content["random"]["mps"] = torch.mps.get_rng_state()
        buffer = io.BytesIO()  # PyTorch's own way to a full disk ends with "unexpected pos 17152 vs 17040"
        torch.save(content, buffer)
        if self._n_saved == 0:
            buffer.seek(0)
            _read(buffer, self.path)  # before hours are spent on files of which none can be read
        with replacing(self.path) as partial:
            partial.write_bytes(buffer.getvalue())
        self._n_saved += 1

    def restore(self) -> tuple[dict[str, list[float]], dict[str, torch.Tensor]]:
        """Put everything back to where `save` was called; return history and best weights.

        Raises
        ------
        ValueError
            The file is no checkpoint, or that of a training with other settings. Nothing is changed then.
        OSError
            It cannot be opened.
        """
        content = _read(io.BytesIO(self.path.read_bytes()), self.path)
        self._require_same(content["settings"])
        now = {name: copy.deepcopy(thing.state_dict()) for name, thing in self._stateful.items()}
        random = self._generator.get_state()
        try:
            self._apply(content)
            self._generator.set_state(content["random"]["generator"])
            if _shapes(content["best"]) != _shapes(now["model"]):
                raise ValueError("its best weights are those of another model")
            if len({len(content["history"][name]) for name in ("loss", "val_loss", "learning_rate")}) != 1:
                raise ValueError("its history has gaps")
            torch.set_rng_state(content["random"]["cpu"])
        except Exception as error:
            self._apply(now)
            self._generator.set_state(random)
            raise ValueError(
                f"{self.path} is no checkpoint of this training ({_line(error)}). Delete it, or name another file"
            ) from error
        if torch.cuda.is_available():
            for device, state in zip(range(torch.cuda.device_count()), content["random"].get("cuda", ()), strict=False):
                torch.cuda.set_rng_state(state, device)
        if torch.backends.mps.is_available() and "mps" in content["random"]:
            torch.mps.set_rng_state(content["random"]["mps"])
        return content["history"], content["best"]

    def _apply(self, content: dict) -> None:
        for name, thing in self._stateful.items():
            if content[name] or name != "scaler":  # that of a CPU is empty, and may be read on a GPU
                thing.load_state_dict(content[name])

    def _require_same(self, there: dict) -> None:
        here = self._settings
        differing = [name for name in here | there if there.get(name, "not saved") != here.get(name, "nothing")]
        # Other jets in another number: the number says it.
        differing = [n for n in differing if not (n.startswith(_VALUES) and n.removeprefix(_VALUES) in differing)]
        if differing:
            text = [f"{n} was {there.get(n, 'not saved')} and is {here.get(n, 'nothing')}" for n in differing[:4]]
            text += [f"{len(differing) - 4} more are others"] if len(differing) > 4 else []
            raise ValueError(
                f"{self.path} is the checkpoint of another training: {', '.join(text)}. Delete it, or name another file"
            )


def digest(*tensors: torch.Tensor) -> str:
    """Return a short text that tells tensors of other values, types or shapes apart.

    Examples
    --------
    >>> digest(torch.zeros(2)) == digest(torch.zeros(2)), digest(torch.zeros(2)) == digest(torch.ones(2))
    (True, False)
    """
    found = hashlib.blake2b(digest_size=6)
    for tensor in tensors:
        found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def describe(thing: object, depth: int = 0) -> str:
    """Say in one line what a function, its arguments or a module is, so that another one reads differently.

    A function has a name; if it is neither PyTorch's nor of this package, a digest of its code, of what it closes over,
    and of the plain numbers and texts that it reads from its module. An object has a class and attributes, and if that
    is no class of theirs, it has its methods. What else a function calls cannot be told apart.

    Examples
    --------
    >>> describe(functools.partial(nn.functional.cross_entropy, label_smoothing=0.1))
    'partial(torch.nn.functional.cross_entropy, label_smoothing=0.1)'
    """
    if isinstance(thing, np.generic):
        thing = thing.item()
    if thing is None or isinstance(thing, bool | int | float | complex | str | bytes):
        return repr(thing)
    if isinstance(thing, np.ndarray):
        return f"array{thing.shape} {thing.dtype} {hashlib.blake2b(thing.tobytes(), digest_size=6).hexdigest()}"
    if isinstance(thing, torch.Tensor):
        return repr(thing.item()) if thing.ndim == 0 else f"tensor{tuple(thing.shape)} {digest(thing)}"
    if depth > 4:
        return type(thing).__qualname__
    inside = functools.partial(describe, depth=depth + 1)
    if isinstance(thing, dict):
        return "{" + ", ".join(f"{inside(key)}: {inside(value)}" for key, value in thing.items()) + "}"
    if isinstance(thing, list | tuple | set | frozenset):
        return f"{type(thing).__name__}({', '.join(map(inside, thing))})"
    if isinstance(thing, functools.partial):
        given = [inside(thing.func), *map(inside, thing.args)]
        return f"partial({', '.join(given + [f'{key}={inside(value)}' for key, value in thing.keywords.items()])})"
    if isinstance(thing, types.MethodType):
        return f"{inside(thing.__self__)}.{inside(thing.__func__)}"
    name = f"{getattr(thing, '__module__', None)}.{getattr(thing, '__qualname__', '')}"
    if isinstance(thing, types.FunctionType) and name.split(".")[0] not in _KNOWN:
        cells = [cell.cell_contents for cell in thing.__closure__ or () if cell != types.CellType()]
        read = [thing.__globals__.get(n) for n in thing.__code__.co_names]
        read = [value for value in read if isinstance(value, bool | int | float | str)]
        text = inside([*cells, thing.__defaults__, thing.__kwdefaults__, read]) + _code(thing.__code__)
        return f"{name} (code {hashlib.blake2b(text.encode(), digest_size=4).hexdigest()})"
    if hasattr(thing, "__qualname__"):
        return name
    cls = f"{type(thing).__module__}.{type(thing).__qualname__}"
    return f"{cls}({_attributes(thing, depth)}{'' if depth else _methods(type(thing))})"


def _code(code: types.CodeType) -> str:
    constants = [_code(item) if isinstance(item, types.CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"


def _attributes(thing: object, depth: int) -> str:
    slots = [name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ()) if hasattr(thing, name)]
    attributes = {name: getattr(thing, name) for name in slots} | getattr(thing, "__dict__", {})
    if isinstance(thing, nn.Module):
        attributes = {name: value for name, value in attributes.items() if name not in _OF_A_MODULE}
        if depth == 0:  # the tensors of a loss; a function may close over the model that is trained
            attributes |= dict(thing.named_parameters()) | dict(thing.named_buffers())
        if depth < 3:  # the parts of a network have their own lines
            attributes |= dict(thing.named_children())
    if depth >= 3:  # a network may keep what it has computed
        attributes = {name: value for name, value in attributes.items() if not name.startswith("_")}
    return ", ".join(f"{name}={describe(value, depth + 1)}" for name, value in attributes.items())


def _methods(cls: type) -> str:
    """Return the methods and plain attributes of a class, and of those above it up to PyTorch's and this package's."""
    found = {}
    for one in cls.__mro__:
        if one.__module__.split(".")[0] not in (*_KNOWN, "builtins", "functools"):
            found |= {name: value for name, value in vars(one).items() if isinstance(value, _PLAIN)}
    return "".join(f", {name}: {describe(value, 1)}" for name, value in sorted(found.items()) if name not in _NO_CODE)


def _network(model: nn.Module) -> dict[str, str]:
    """Return the class and the plain attributes of each module, the shape and type of each tensor, by their names."""
    found = {}
    for name, module in model.named_modules():
        found[f"module {name or 'model'}"] = f"{type(module).__qualname__}({_attributes(module, 3)})"
    for name, tensor in model.state_dict(keep_vars=True).items():
        if isinstance(tensor, torch.Tensor):
            frozen = "" if tensor.requires_grad or not isinstance(tensor, nn.Parameter) else " frozen"
            found[name] = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}{frozen}"
    return found


def _shapes(state: dict) -> dict[str, tuple | None]:
    return {name: getattr(value, "shape", None) for name, value in state.items()}


def _read(file: io.BytesIO, name: Path) -> dict:
    """Return the content of a checkpoint, or say that the file is none; no code in it is run."""
    try:
        with zipfile.ZipFile(file) as archive:  # PyTorch writes check sums and does not look at them
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(damaged)
        file.seek(0)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate" in str(error):  # memory of PyTorch
            raise MemoryError(f"{name}: {_line(error)}") from error
        raise ValueError(
            f"{name} cannot be read as the checkpoint of a training: it is another kind of file, was cut short, was "
            "changed, or holds more than tensors, numbers and text. Delete it, or name another file"
        ) from error
    needed = ("settings", "history", "best", "random", "model", "optimizer", "scaler")
    missing = [key for key in needed if not isinstance(content, dict) or key not in content]
    if missing or not isinstance(content["settings"], dict):
        raise ValueError(
            f"{name} is not the checkpoint of a training: it has no {', '.join(missing) or 'names of settings'}. Name "
            "another file"
        )
    return content


def _line(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if len(text) < 120 else f"{text[:117]}..."
