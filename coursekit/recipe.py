"""What decides how a sample is prepared: a recipe and a file, known again by what they hold."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from coursekit.arrays import flat, numbers, whole_number
from coursekit.jets.reading import existing_file
from coursekit.words import listed, near

PARTS = ("training", "validation", "test")
"""The parts of a sample; weights are fitted on the first and exist for the first two."""


@dataclass(frozen=True)
class Recipe:
    """All that decides what is made of an ntuple; two samples of one recipe and one ntuple are the same.

    Attributes
    ----------
    inputs : sequence of str
        The F branches that the network takes, in order.
    classes : mapping of int to str
        What the label branch says, and what that is called: ``{0: "light", 4: "c", 5: "b"}``. The first class has label
        0, the next one 1.
    bins : mapping of str to sequence of float
        The two branches whose spectra are made the same for all classes, with their bin edges: ``{"pt": [20, 50, 90],
        "eta": [-2.5, 0, 2.5]}``. Jets outside get weight 0.
    target : str
        Whose spectrum all classes get: the name of a class, "sum" or "flat", as in `reweight_classes`.
    label : str
        The branch that says the class.
    tree : str
        Name of the tree, one entry a jet.
    keys : sequence of str
        Branches of integers that tell events apart: jets for which they are equal stay in one part.
    left_out : sequence of int
        What the label branch may say otherwise: these jets are in no part.
    fractions : sequence of float
        Of training, validation and test.
    salt : int
        Another one gives an independent split.
    defaults, fill, checks
        As in `Scaler.fit`.

    Raises
    ------
    TypeError
        What should be a list or a mapping is none.
    ValueError
        There are not two classes of different codes and names, two bins, or three fractions; the target is no class; or
        the label is among the inputs.
    """

    inputs: Sequence[str]
    classes: Mapping[int, str]
    bins: Mapping[str, Sequence[float]]
    target: str
    label: str = "flavour"
    tree: str = "jets"
    keys: Sequence[str] = ("event",)
    left_out: Sequence[int] = ()
    fractions: Sequence[float] = (0.6, 0.2, 0.2)
    salt: int = 0
    defaults: Mapping[str, float] = field(default_factory=dict)
    fill: Literal["mean", "median"] = "mean"
    checks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("inputs", "keys", "left_out", "fractions"):
            if isinstance(values := getattr(self, name), str) or not np.iterable(values):
                raise TypeError(f"{name} is a list, but {values!r} came: write {name}=[{values!r}].")
        for name in ("classes", "bins", "defaults", "checks"):
            if not isinstance(values := getattr(self, name), Mapping):
                raise TypeError(f"{name} is a dictionary, but {values!r} came.")
        plain = {  # of Python's own types, as they come back from a file
            "inputs": [str(name) for name in self.inputs],
            "classes": {_code(code, "classes"): name for code, name in self.classes.items()},
            "bins": {str(name): _plain(edges, f"bins of {name}") for name, edges in self.bins.items()},
            "keys": [str(name) for name in self.keys],
            "left_out": sorted(_code(code, "left_out") for code in self.left_out),
            "fractions": _plain(self.fractions, "fractions"),
            "salt": whole_number(self.salt, "salt"),
            "defaults": {str(name): _number(value, name) for name, value in sorted(self.defaults.items())},
            "checks": {str(name): str(looked_at) for name, looked_at in self.checks.items()},
        }
        given = self.classes
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        names = list(self.classes.values())
        if wrong := [name for name in names if not isinstance(name, str) or not name]:
            raise ValueError(f"the name of a class is text, but {wrong[0]!r} came.")
        if len(names) < len(given):
            raise ValueError(f"two classes have the same code: {given} came.")
        if len(set(names)) < max(2, len(names)) or {"sum", "flat"} & set(names):
            raise ValueError(f'classes are at least two, of different names other than "sum" and "flat": {names} came.')
        if self.target not in (*names, "sum", "flat"):
            raise ValueError(f'target is {self.target!r};{near(self.target, names)} choose of {names}, "sum", "flat".')
        if both := sorted(set(self.left_out) & set(self.classes)):
            raise ValueError(f"{both[0]} is in classes and in left_out: take it out of one of them.")
        if len(self.bins) != 2:
            raise ValueError(f"bins are those of two branches, x and y, but those of {listed(self.bins)} came.")
        if len(self.fractions) != len(PARTS):
            raise ValueError(f"fractions are those of {', '.join(PARTS)}, but {self.fractions} came.")
        if self.label in self.inputs:
            raise ValueError(f"{self.label} is the label, and would tell the network the answer: leave it out.")

    def labels(self, codes: np.ndarray) -> np.ndarray:
        """Number the class of each jet.

        Parameters
        ----------
        codes : numpy.ndarray
            (N,), what the label branch says.

        Returns
        -------
        numpy.ndarray
            (N,), 0 for the first class, 1 for the next, -1 for what is left out, int64.

        Raises
        ------
        ValueError
            A code is neither in `classes` nor in `left_out`: it says which, and how many jets have it.

        Examples
        --------
        >>> recipe = Recipe(["sv_mass"], {0: "light", 5: "b"}, {"pt": [20, 90], "eta": [-2, 2]}, "b", left_out=[15])
        >>> recipe.labels([5, 0, 15])
        array([ 1,  0, -1])
        """
        codes = flat(codes, self.label)
        strange = ~np.isin(codes, [*self.classes, *self.left_out])
        if strange.any():
            values, n = np.unique(codes[strange], return_counts=True)
            found = listed(f"{value} in {times} jets" for value, times in zip(values, n, strict=True))
            raise ValueError(
                f"{self.label} is {found}, which is none of the classes {self.classes}: name these jets there, or put "
                f"their codes into left_out."
            )
        labels = np.full(len(codes), -1)
        for label, code in enumerate(self.classes):
            labels[codes == code] = label
        return labels

    def require_classes(self, labels: np.ndarray, where: str) -> None:
        """Refuse labels, (N,) int64, among which a class is missing; `where` says in errors whose they are.

        Raises
        ------
        ValueError
            A class has no jet.
        """
        for label, (code, name) in enumerate(self.classes.items()):
            if not (labels == label).any():
                raise ValueError(
                    f"{where} has no jet of the class {name} ({self.label} = {code}) among {(labels >= 0).sum()}. Take "
                    f"more jets, other fractions, or classes that are there."
                )


class Source(NamedTuple):
    """By what an ntuple is known again, wherever it lies."""

    name: str
    n_bytes: int
    sha256: str

    @classmethod
    def of(cls, path: str | os.PathLike) -> "Source":
        """Read a file through once."""
        path = existing_file(path)
        with path.open("rb") as file:
            return cls(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())

    def require_same(self, path: str | os.PathLike, prepared: str | os.PathLike) -> None:
        """Refuse another file than this one for what was prepared from it.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It has another size, or another content.
        """
        size = existing_file(path).stat().st_size  # a file of another size need not be read
        then, now = f"{self.n_bytes} bytes", f"{size} bytes"
        if size == self.n_bytes:
            then, now = f"SHA-256 {self.sha256}", f"SHA-256 {Source.of(path).sha256}"
        if then != now:
            raise ValueError(
                f"{prepared} was prepared from another file: {self.name} had {then}, {path} has {now}. Take the old "
                f"one, or prepare the sample under another name and train anew."
            )


def require_recipe(recipe) -> None:
    """Raise TypeError if something else than a recipe came."""
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe is a Recipe, but {type(recipe).__name__} came: write Recipe(inputs, classes, ...).")


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Say setting by setting what has changed, at most six of them.

    Examples
    --------
    >>> old = Recipe(["sv_mass"], {0: "light", 5: "b"}, {"pt": [20, 90], "eta": [-2, 2]}, "b", defaults={"sv_mass": -1})
    >>> new = Recipe(["sv_mass"], {0: "light", 4: "b"}, {"pt": [20, 90], "eta": [-2, 2]}, "b", defaults={"sv_mass": -9})
    >>> differences(old, new)
    ["classes 4 was absent and is 'b'", "classes 5 was 'b' and is absent", 'defaults sv_mass was -1.0 and is -9.0']
    """
    then, now = _settings(old), _settings(new)
    found = []
    for name in sorted(then | now):
        one, other = then.get(name), now.get(name)
        lists = isinstance(one, list | tuple) and isinstance(other, list | tuple)
        if one == other:
            continue
        if lists and sorted(map(str, one)) == sorted(map(str, other)):
            found.append(f"{name} have another order")
        elif isinstance(one, tuple):
            continue  # of a dictionary, each entry says it
        elif lists and all(isinstance(item, str) for item in [*one, *other]):
            gone, come = ([item for item in a if item not in b] for a, b in ((one, other), (other, one)))
            found.append(f"{name} had {listed(gone)} and now {listed(come)}")
        else:
            found.append(f"{name} was {_short(one)} and is {_short(other)}")
    return found[:6] + ([f"and {len(found) - 6} more"] if len(found) > 6 else [])


def _settings(recipe: Recipe) -> dict:
    """Flatten what a file holds of a recipe: each entry of a dictionary is a setting, and so is their order."""
    require_recipe(recipe)
    flat = {}
    for name, value in json.loads(json.dumps(asdict(recipe))).items():
        if isinstance(value, dict):
            flat |= {f"{name} {key}": one for key, one in value.items()}
            value = tuple(value)
        flat[name] = value
    return flat


def _short(value) -> str:
    text = "absent" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:38]} ... {text[-38:]}"


def _plain(values, name: str) -> list:
    """Return numbers of Python; of float32 the decimal that was meant, 0.6 and not 0.6000000238."""
    values = numbers(values, name)
    short = values.dtype.kind == "f" and values.dtype.itemsize < 8
    return (values.astype(str).astype(np.float64) if short else values).tolist()


def _number(value, name: str) -> float:
    try:
        return float(str(value) if isinstance(value, np.floating) else value)  # as _plain
    except (TypeError, ValueError):
        raise ValueError(f"the default of {name} is a number, but {value!r} came.") from None


def _code(code, where: str) -> int:
    with contextlib.suppress(ValueError):
        code = int(code) if isinstance(code, str) else code  # JSON knows no other keys
    return whole_number(code, f"a code of {where}")
