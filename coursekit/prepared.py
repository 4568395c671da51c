"""A sample of jets made ready for trainings, once: split by event, reweighted, scaled, kept on disk with its recipe."""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from coursekit import __version__
from coursekit.arrays import flat
from coursekit.events import load_events, to_table
from coursekit.files import naming_if_full, replacing
from coursekit.jets.hdf5 import intact, is_hdf5
from coursekit.locks import locked
from coursekit.preprocess import Scaler
from coursekit.recipe import PARTS, Recipe, Source, differences, require_recipe
from coursekit.splitting import split_by_hash
from coursekit.weights import Reweighting, reweight_classes
from coursekit.words import listed, near

__all__ = ["Part", "PreparedSample", "Recipe", "Source", "prepare"]

_LAYOUT = 1  # of the HDF5 file: another one is refused
_VERSIONS = {"coursekit": __version__, "numpy": np.__version__, "h5py": h5py.__version__}
_ARRAYS = ("indices", "inputs", "checks", "labels", "weights")
_HISTOGRAMS = ("x_edges", "y_edges", "ratios", "n_source", "uncovered")


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """Jets of one part, as they are in the ntuple: `Scaler.transform` makes of the inputs what the network takes.

    Attributes
    ----------
    indices : numpy.ndarray
        (N,), the entry of each jet in the ntuple, rising, int64.
    inputs : numpy.ndarray
        (N, F), the units of the ntuple, defaults among them, float32.
    checks : numpy.ndarray
        (N, C), 1 where the input that the check looks at is a default, uint8.
    labels : numpy.ndarray
        (N,), the number of the class, int64.
    weights : numpy.ndarray or None
        (N,), float64; None for the test, whose jets are what they are.
    """

    indices: np.ndarray
    inputs: np.ndarray
    checks: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, eq=False, repr=False)
class PreparedSample:
    """Training, validation and test jets with labels and weights, and the scaler for their inputs.

    The HDF5 file of a sample holds for each part the arrays of a `Part`, and the histograms of the reweighting; beside
    it lies the variables file of the scaler, of the same name but for ``.json``.

    Attributes
    ----------
    recipe : Recipe
    source : Source
        The ntuple.
    scaler : Scaler
        Fitted on the training jets with their weights.
    reweighting : dict of int to Reweighting
        For each label; fitted on the training jets.
    parts : dict of str to Part
        Those that were loaded; ``sample["training"]`` is short for ``sample.parts["training"]``.
    versions : dict of str to str
        Of what has written the file.
    """

    recipe: Recipe
    source: Source
    scaler: Scaler
    reweighting: dict[int, Reweighting]
    parts: dict[str, Part]
    versions: dict[str, str]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes, in the order of their labels."""
        return tuple(self.recipe.classes.values())

    def __repr__(self) -> str:
        numbers = ", ".join(f"{len(jets)} {part}" for part, jets in self.parts.items()) or "no"
        return f"<{numbers} jets of {self.source.name}: {', '.join(self.classes)}; {len(self.recipe.inputs)} inputs>"

    def __getitem__(self, part: str) -> Part:
        if part not in self.parts:
            raise KeyError(
                f"{part} is not among the parts that were loaded, {listed(self.parts)}; there are {listed(PARTS)}"
            )
        return self.parts[part]

    @classmethod
    def make(cls, source: str | os.PathLike, recipe: Recipe) -> "PreparedSample":
        """Read an ntuple and prepare its jets; nothing is written.

        Events are split by a hash of their keys. Weights that make the spectra of all classes the same, and the scaler,
        are fitted on the training jets; the weights of validation jets are looked up.

        Parameters
        ----------
        source : str or path-like
            The ROOT file.
        recipe : Recipe

        Returns
        -------
        PreparedSample
            With all parts.

        Raises
        ------
        FileNotFoundError, OSError, MemoryError, KeyError
            As `load_events`.
        TypeError
            A key does not hold integers.
        ValueError
            As `load_events`, `reweight_classes` and `Scaler.fit`; the label branch says what is neither in `classes`
            nor in `left_out`; or a class has no jet, in the file or in a part.
        """
        require_recipe(recipe)
        source, (x, y) = Path(source), recipe.bins
        branches = dict.fromkeys([recipe.label, *recipe.keys, x, y, *recipe.inputs])
        events = load_events(source, branches, tree=recipe.tree)
        with _named(source):
            labels = recipe.labels(events[recipe.label])
            recipe.require_classes(labels, "the file")
            keys = [events[name] for name in recipe.keys]
            split = split_by_hash(*keys, fractions=recipe.fractions, salt=recipe.salt)
            indices = {part: found[labels[found] >= 0] for part, found in zip(PARTS, split, strict=True)}
            for part, found in indices.items():
                recipe.require_classes(labels[found], f"the {part} part")
            table = to_table(events, recipe.inputs)
            x, y = (flat(events[name], name) for name in recipe.bins)
            train, edges = indices["training"], tuple(recipe.bins.values())
            target = {name: k for k, name in enumerate(recipe.classes.values())}.get(recipe.target, recipe.target)
            reweighting = reweight_classes(x[train], y[train], labels[train], edges, target)
            weights = _weights(reweighting, x, y, labels)
            scaler = Scaler.fit(
                table[train], recipe.inputs, weights[train], recipe.defaults, fill=recipe.fill, checks=recipe.checks
            )
            checks = scaler.transform(table)[:, len(recipe.inputs) :].astype(np.uint8)
            parts = {
                part: Part(i, table[i], checks[i], labels[i], None if part == "test" else weights[i])
                for part, i in indices.items()
            }
        return cls(recipe, Source.of(source), scaler, reweighting, parts, dict(_VERSIONS))

    def save(self, path: str | os.PathLike) -> None:
        """Write the sample, an HDF5 file and its variables file; they have their names only when both are complete.

        Parameters
        ----------
        path : str or path-like
            The HDF5 file, whose name ends in ``.h5`` or ``.hdf5``.

        Raises
        ------
        ValueError
            The name ends otherwise, or a part was not loaded.
        OSError
            As `replacing`.
        """
        path = _checked_path(path)
        if missing := [part for part in PARTS if part not in self.parts]:
            raise ValueError(f"the part {missing[0]} was not loaded: load all of a sample before it is saved to {path}")
        with locked(path):
            self._write(path)

    def _write(self, path: Path) -> None:
        text = self.scaler.to_json().encode()
        # Both are on the disk before one gets its name, the HDF5 file last: where that is missing, nothing is there.
        with replacing(path) as partial, replacing(path.with_suffix(".json")) as variables:
            variables.write_bytes(text)
            with naming_if_full(path, partial):  # else it is the other one that is named
                partial.write_bytes(_image(self, hashlib.sha256(text).hexdigest()))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        recipe: Recipe | None = None,
        source: str | os.PathLike | None = None,
        parts: Sequence[str] = PARTS,
    ) -> "PreparedSample":
        """Read a sample, and refuse it where it is not what was made by this recipe from this ntuple.

        Parameters
        ----------
        path : str or path-like
            The HDF5 file; the variables file lies beside it.
        recipe : Recipe, optional
            Compared with that of the sample.
        source : str or path-like, optional
            The ntuple, compared with that of the sample by its contents.
        parts : sequence of str
            Of the others nothing is read.

        Returns
        -------
        PreparedSample

        Raises
        ------
        FileNotFoundError
            One of the two files does not exist.
        OSError
            The HDF5 file is truncated or damaged.
        ValueError
            It is no prepared sample, one of another layout, of another recipe or ntuple, or the variables file is
            another than was written with it.
        KeyError
            There is no such part.
        """
        if isinstance(parts, str):
            raise TypeError(f"parts is a list of names, but the text {parts!r} came: write [{parts!r}].")
        for part in parts:
            if part not in PARTS:
                raise KeyError(f"there is no part {part!r};{near(part, PARTS)} there are {listed(PARTS)}")
        path = _checked_path(path)
        wanted = ["about", *(f"reweighting/{name}" for name in _HISTOGRAMS)]
        content = _read(path, wanted + [f"{part}/{name}" for part, name in _arrays(parts)])
        with intact(path):
            about = json.loads(content["about"][0])
            stored, made_from = Recipe(**about["recipe"]), Source(**about["source"])
        if recipe is not None and (changes := differences(stored, recipe)):
            raise ValueError(
                f"{path} was prepared by another recipe: {'; '.join(changes)}. Prepare the sample under another name, "
                f"or delete this one"
            )
        if source is not None:
            made_from.require_same(source, path)
        scaler = _scaler(path, stored, about["variables_sha256"])
        x_edges, y_edges, *of_classes = (content[f"reweighting/{name}"] for name in _HISTOGRAMS)
        changes = [Reweighting(x_edges, y_edges, *one) for one in zip(*of_classes, strict=True)]
        found = {part: Part(*(content.get(f"{part}/{name}") for name in _ARRAYS)) for part in parts}
        return cls(stored, made_from, scaler, dict(enumerate(changes)), found, about["versions"])


def prepare(path: str | os.PathLike, source: str | os.PathLike, recipe: Recipe) -> PreparedSample:
    """Return the sample that this recipe makes of this ntuple: read if it has been made before, else made and kept.

    Parameters
    ----------
    path : str or path-like
        The HDF5 file of the sample, whose name ends in ``.h5``; the variables file comes to lie beside it.
    source : str or path-like
        The ntuple, a ROOT file.
    recipe : Recipe

    Returns
    -------
    PreparedSample
        With all parts.

    Raises
    ------
    FileNotFoundError, OSError, MemoryError, KeyError, TypeError, ValueError
        As `PreparedSample.load`, if there is a sample of this name, also if it is one of another recipe or another
        ntuple; else as `PreparedSample.make` and `PreparedSample.save`.

    Examples
    --------
    >>> import tempfile, uproot
    >>> folder, rng = Path(tempfile.mkdtemp()), np.random.default_rng(1)
    >>> jets = {"event": np.arange(600) // 2, "flavour": rng.choice([0, 5], 600), "pt": rng.uniform(20, 90, 600)}
    >>> jets |= {"eta": rng.uniform(-2, 2, 600), "sv_mass": np.where(rng.random(600) < 0.5, -1, rng.random(600))}
    >>> with uproot.recreate(folder / "jets.root") as file:
    ...     file.mktree("jets", {name: column.dtype for name, column in jets.items()}).extend(jets)
    >>> classes, bins = {0: "light", 5: "b"}, {"pt": [20, 40, 90], "eta": [-2, 2]}
    >>> marks = {"defaults": {"sv_mass": -1}, "checks": {"no_vertex": "sv_mass"}}
    >>> recipe = Recipe(["sv_mass"], classes, bins, target="b", **marks)
    >>> sample = prepare(folder / "jets.h5", folder / "jets.root", recipe)
    >>> x = sample.scaler.transform(sample["training"].inputs)
    >>> x.shape == (len(sample["training"]), 2), sample.scaler.outputs, sample.classes
    (True, ('sv_mass', 'no_vertex'), ('light', 'b'))
    >>> sorted(file.name for file in folder.glob("jets.*"))
    ['jets.h5', 'jets.json', 'jets.root']
    """
    path = _checked_path(path)
    require_recipe(recipe)
    if not path.exists():
        with locked(path):
            if not path.exists():  # still, after others were waited for
                sample = PreparedSample.make(source, recipe)
                sample._write(path)
                return sample
    return PreparedSample.load(path, recipe, source)


# --- making -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _named(source: Path) -> Iterator[None]:
    """Put the name of the file before what is wrong with its content."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{source}: {error}") from error


def _weights(reweighting: dict[int, Reweighting], x: np.ndarray, y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    weights = np.zeros(len(labels))
    for label, change in reweighting.items():
        weights[labels == label] = change.weights(x[labels == label], y[labels == label])
    return weights


# --- the files --------------------------------------------------------------------------------------------------------


def _checked_path(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.suffix not in (".h5", ".hdf5"):
        raise ValueError(f"{path} is to be an HDF5 file: give it a name that ends in .h5")
    return path


def _image(sample: PreparedSample, variables_sha256: str) -> bytes:
    """Return the bytes of the HDF5 file, made in memory: HDF5's own way to a full disk ends in several back traces."""
    about = {"recipe": asdict(sample.recipe), "source": sample.source._asdict(), "versions": _VERSIONS}
    arrays = {"about": np.array([json.dumps(about | {"variables_sha256": variables_sha256}).encode()])}
    changes = sample.reweighting.values()
    for name in _HISTOGRAMS[:2]:
        arrays[f"reweighting/{name}"] = getattr(sample.reweighting[0], name)
    for name in _HISTOGRAMS[2:]:
        arrays[f"reweighting/{name}"] = np.array([getattr(change, name) for change in changes])
    arrays |= {f"{part}/{name}": getattr(sample[part], name) for part, name in _arrays(PARTS)}
    # From this version of the format on the heads of all objects have check sums, as the data are given here.
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v110", "v110")) as file:
        file.attrs["layout"] = _LAYOUT
        for name, array in arrays.items():
            sums = {"chunks": True, "compression": "gzip", "shuffle": True, "fletcher32": True} if array.size else {}
            file.create_dataset(name, data=array, **sums)
    return image.getvalue()


def _arrays(parts: Sequence[str]) -> list[tuple[str, str]]:
    return [(part, name) for part in parts for name in _ARRAYS if (part, name) != ("test", "weights")]


def _read(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return arrays of a file that is known to be a prepared sample; of the others nothing is read."""
    if not path.is_file():
        why = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {why}. Prepare the sample with prepare(path, source, recipe).")
    with path.open("rb") as file:
        head = file.read(8)
    if not is_hdf5(path, head):
        raise ValueError(f"{path} is not an HDF5 file: " + (f"it starts with {head!r}" if head else "it is empty"))
    with intact(path), h5py.File(path) as file:
        layout = file.attrs.get("layout")
        missing = [name for name in names if not isinstance(file.get(name), h5py.Dataset)]
        there = []
        file.visit(there.append)
        ours = isinstance(layout, np.integer) and "about" in there
        content = {name: file[name][()] for name in names if ours and layout == _LAYOUT and not missing}
    if ours and layout != _LAYOUT:
        raise ValueError(
            f"{path} has layout {layout}, of another version of coursekit, and this one reads layout {_LAYOUT}: "
            f"prepare the sample anew"
        )
    if not content:
        raise ValueError(
            f"{path} is no prepared sample: it lacks {listed(missing or ['layout'])}; it has {listed(there)}"
        )
    return content


def _scaler(path: Path, recipe: Recipe, sha256: str) -> Scaler:
    """Read the variables file, which must be the one that was written with the sample."""
    variables = path.with_suffix(".json")
    remedy = f"Put back the one that was made with {path.name}, or delete both and prepare the sample anew"
    if not variables.is_file():
        raise FileNotFoundError(f"{variables}, the variables file of {path}, is missing. {remedy}")
    scaler = Scaler.load(variables, inputs=recipe.inputs)
    if hashlib.sha256(variables.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{variables} is not what was written with {path}: it was changed, or is another's. {remedy}")
    return scaler
