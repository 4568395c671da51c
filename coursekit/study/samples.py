"""The events of one sample: read, weighted, cut, labelled, and with their derived columns."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import awkward as ak
import numpy as np

from coursekit.jets import flow_features, load_jets, relative_features
from coursekit.streaming.files import stamp, unchanged
from coursekit.study.draws import places
from coursekit.study.expressions import Expression
from coursekit.study.settings.input import Input, LabelBranch, Sample
from coursekit.study.sources import located, open_columns
from coursekit.words import listed, near

CHUNK = 200_000  # events of numbers read at once; jets with their constituents are larger
CHUNK_OF_JETS = 20_000


class Piece(NamedTuple):
    """Some events of a sample that passed its cuts.

    Attributes
    ----------
    columns : dict of str to (n,) array
    labels : (n,) int64
    weights : (n,) float64
    places : (n,) uint64
        Numbers that belong to the events, by where they lie.
    constituents : tuple of (T, F) float32 and (n,) int64 arrays, or None
    images : (n, H, W, C) float32 array, or None
    """

    columns: dict[str, np.ndarray]
    labels: np.ndarray
    weights: np.ndarray
    places: np.ndarray
    constituents: tuple[np.ndarray, np.ndarray] | None
    images: np.ndarray | None


class Derived:
    """Derived columns, each with what it needs.

    Raises
    ------
    ValueError
        Columns need each other in a circle.
    """

    def __init__(self, texts: Mapping[str, str], key: str):
        self.expressions = {name: Expression.parse(text, f"{key}.{name}") for name, text in texts.items()}
        for name in self.expressions:
            self.order([name])

    def order(self, names) -> list[str]:
        """Return the derived columns that these columns need, themselves included, in the order to calculate them."""
        done, path = [], []

        def visit(name: str) -> None:
            if name in done or name not in self.expressions:
                return
            if name in path:
                circle = " -> ".join([*path[path.index(name) :], name])
                what = self.expressions[name].what
                raise ValueError(f"{what} needs itself: {circle}; a derived column needs a name that no branch has")
            path.append(name)
            for other in self.expressions[name].names:
                visit(other)
            done.append(path.pop())

        for name in names:
            visit(name)
        return done

    def needed(self, names) -> list[str]:
        """Return the columns of a file that these columns are made of."""
        found = []
        for name in names:
            parts = self.needed(self.expressions[name].names) if name in self.expressions else [name]
            found += [part for part in parts if part not in found]
        return found

    def add(self, columns: dict, names, n: int, source: str) -> None:
        """Calculate what these columns need and is not there yet."""
        for name in self.order(names):
            if name not in columns:
                columns[name] = self.expressions[name].evaluate(columns, n, source)


class SampleReader:
    """Reads the events of one sample.

    Parameters
    ----------
    name : str
    section : {"signals", "backgrounds", "data"}
    sample : Sample
    settings : Input

    Attributes
    ----------
    flow : list of dict
        Events and sum of weights of the file, and after each cut; complete when all pieces have been read.
    """

    def __init__(self, name: str, section: str, sample: Sample, settings: Input):
        self.name, self.section, self.sample, self.settings = name, section, sample, settings
        self.is_data = section == "data"
        self.where = f"input.{section}.{name}"
        self.paths = [located(file) for file in sample.files]
        self.key = sample.key or settings.key
        self.derived = Derived(settings.derived, "input.derived")
        label = sample.label or section.removesuffix("s")
        self.label = label if isinstance(label, LabelBranch) else None
        self.number = -1 if self.is_data or self.label else settings.class_names.index(label)
        weight, key = (sample.weight, f"{self.where}.weight") if sample.weight else (settings.weight, "input.weight")
        self.weight = Expression.parse("1" if self.is_data else weight, key)
        self.cuts = [
            Expression.parse(text, key)
            for text, key in ((sample.cut, f"{self.where}.cut"), (settings.cut, "input.cut"))
            if text is not None
        ]
        self.kept = self._kept()
        self.resettable = self._resettable()
        self.flow: list[dict] = []

    def _kept(self) -> list[str]:
        """Return the names of the columns that stay in the dataset."""
        settings = self.settings
        names = [*settings.features, *settings.spectators, *settings.split.keys, *settings.derived]
        names += [
            *(settings.reweight.bins if settings.reweight else ()),
            *([settings.target] if settings.target else ()),
        ]
        names += [name for sample in settings.samples().values() for name in sample[1].values]
        return list(dict.fromkeys(names))

    def _resettable(self) -> set[str]:
        """Return the features that need not exist here, because all events get another value of them."""
        classes = set(self.label.classes.values()) if self.label else {self.settings.class_names[self.number]}
        return {name for name, reset in self.settings.reset.items() if self.is_data or classes <= set(reset.classes)}

    def _branches(self, source, path) -> tuple[list[str], list[str]]:
        """Return the columns to read from a file, flat ones and lists, and refuse what does not exist."""
        wanted = dict.fromkeys(self.derived.needed(self.kept), "a column")
        for expression in (self.weight, *self.cuts):
            wanted |= dict.fromkeys(self.derived.needed(expression.names), expression.what)
        lists = []
        if self.label:
            wanted[self.label.branch] = f"{self.where}.label.branch"
        if (constituents := self.settings.constituents) and constituents.features:
            of_each = Derived(constituents.derived, "input.constituents.derived")
            names = self.derived.needed(of_each.needed(constituents.features))
            lists = [name for name in names if name not in wanted and name not in self.sample.values]
        found = []
        for name, what in [*wanted.items(), *((name, "input.constituents") for name in lists)]:
            if name in self.sample.values:
                continue
            try:
                found += source.require([name])
            except KeyError as error:
                elsewhere = {other for _, sample in self.settings.samples().values() for other in sample.values}
                if name in self.resettable or (name in elsewhere and name not in self._must_have()):
                    continue
                meant = near(name, [*self.derived.expressions, *self.sample.values])
                raise KeyError(
                    f"{self.where}, for {what}: {error.args[0]}{f'; among derived{meant}' if meant else ''}"
                ) from None
        return found, lists

    def _must_have(self) -> list[str]:
        settings = self.settings
        return self.derived.needed([*settings.features, *settings.spectators, *settings.split.keys])

    def size(self) -> tuple[int, float]:
        """Return the number of events in the files, and the bytes that their needed columns take in memory."""
        n_events, n_bytes = 0, 0.0
        for path in self.paths:
            with open_columns(path, self.key) as source:
                n_events += source.n_events
                names, _ = self._branches(source, path)
                n_bytes += source.n_events * sum(source.column_bytes(name) for name in names)
        return n_events, n_bytes

    def pieces(self, limit: int | None = None, chunk: int | None = None) -> Iterator[Piece]:
        """Read all events, or the first `limit`, piece by piece.

        Raises
        ------
        FileNotFoundError, OSError, KeyError
            A file is missing or damaged, or lacks a tree or a column.
        ValueError
            A column is of other kinds in two files, a value is missing, a weight not finite, an expression is not
            defined somewhere, or no event passes the cuts.
        """
        of_jets = self.settings.constituents or self.settings.images
        chunk = chunk or (CHUNK_OF_JETS if of_jets else CHUNK)
        left, kinds = limit, {}
        self.flow = [{"sample": self.name, "cut": cut, "events": 0, "weight": 0.0} for cut in self._steps()]
        for number, path in enumerate(self.paths):
            before = stamp(path)
            with open_columns(path, self.key) as source:
                names, _ = self._branches(source, path)
                stop = source.n_events if left is None else min(left, source.n_events)
                for start in range(0, stop, chunk):
                    end = min(start + chunk, stop)
                    with unchanged(path, before):
                        columns = source.read(names, start, end) if names else {}
                        jets = self._jets(path, start, end)
                    self._require_kinds(columns, path, kinds)
                    where = f"{self.where}: {path}" + (f" from event {start} on" if start else "")
                    yield self._piece(columns, jets, places(self.name, number, start, end - start), where)
                left = None if left is None else left - stop
            if left == 0:
                break
        if not self.flow[-1]["events"]:
            steps = "; ".join(f"{row['cut']}: {row['events']}" for row in self.flow)
            raise ValueError(f"{self.where} is empty after its cuts (events: {steps}): loosen the one that takes all")

    def _steps(self) -> list[str]:
        steps = ["read", *(f"{cut.what}: {cut.text}" for cut in self.cuts)]
        steps += [f"label: {self.label.branch}"] if self.label else []
        return steps + (["missing: drop"] if self.settings.missing == "drop" else [])

    def _jets(self, path, start: int, end: int) -> ak.Array | None:
        constituents = self.settings.constituents
        if not (self.settings.images or (constituents and constituents.momenta)):
            return None
        return load_jets(path, start, end, **({"key": self.key} if self.key else {}))[0]

    def _require_kinds(self, columns, path, kinds: dict) -> None:
        """Refuse a column that is whole numbers in one file of the sample and not in another."""
        for name, column in columns.items():
            kind = (
                "lists"
                if not isinstance(column, np.ndarray)
                else {"i": "whole numbers", "u": "whole numbers"}.get(column.dtype.kind, str(column.dtype.kind))
            )
            first, where = kinds.setdefault(name, (kind, path))
            if first != kind:
                says = {"f": "real numbers", "b": "yes or no"}
                raise ValueError(
                    f"{self.where}: {name} holds {says.get(first, first)} in {where} and {says.get(kind, kind)} in "
                    f"{path}: make the files alike"
                )

    def _piece(self, columns: dict, jets, place: np.ndarray, where: str) -> Piece:
        n = len(place)
        columns |= {name: np.full(n, value) for name, value in self.sample.values.items()}
        self.derived.add(columns, self.weight.names, n, where)
        weights = self.weight.evaluate(columns, n, where).astype(np.float64) * self.sample.scale
        if not np.isfinite(weights).all():
            raise ValueError(f"{where}: {self.weight.what} is NaN in event {np.flatnonzero(~np.isfinite(weights))[0]}")
        labels = np.full(n, self.number, dtype=np.int64)
        state = [columns, jets, place, weights, labels]
        self._count(0, weights)
        for step, cut in enumerate(self.cuts, start=1):
            columns, n = state[0], len(state[2])
            self.derived.add(columns, cut.names, n, where)
            self._require_numbers(columns, self.derived.needed(cut.names), where, cut.what)
            self._cut(state, cut.mask(columns, n, where), step)
        if self.label:
            state[4] = self._labels(state[0][self.label.branch], where)
            self._cut(state, state[4] >= 0, len(self.cuts) + 1)
        columns, n = state[0], len(state[2])
        for name in self.kept:
            if name not in self.derived.expressions and name not in columns:
                columns[name] = np.full(n, np.nan)
        self.derived.add(columns, self.kept, n, where)
        self._cut_missing(state, where)
        columns, jets, place, weights, labels = state
        kept = {name: columns[name] for name in self.kept}
        return Piece(
            kept, labels, weights, place, self._constituents(columns, jets, len(place), where), self._images(jets)
        )

    def _count(self, step: int, weights: np.ndarray) -> None:
        self.flow[step]["events"] += len(weights)
        self.flow[step]["weight"] += float(weights.sum())

    def _cut(self, state: list, mask: np.ndarray, step: int) -> None:
        state[0] = {name: column[mask] for name, column in state[0].items()}
        state[1:] = [None if part is None else part[mask] for part in state[1:]]
        self._count(step, state[3])

    def _labels(self, codes, where: str) -> np.ndarray:
        if not isinstance(codes, np.ndarray) or codes.ndim != 1 or codes.dtype.kind not in "biuf":
            raise ValueError(f"{where}: the label branch {self.label.branch} does not hold one number per event")
        labels = np.full(len(codes), -1, dtype=np.int64)
        for code, name in self.label.classes.items():
            labels[codes == code] = self.settings.class_names.index(name)
        return labels

    def _require_numbers(self, columns: Mapping, names, where: str, what: str) -> None:
        for name in names:
            column = columns.get(name)
            if isinstance(column, np.ndarray) and column.dtype.kind == "f" and not np.isfinite(column).all():
                bad = ~np.isfinite(column)
                raise ValueError(
                    f"{where}: {name}, needed by {what}, is NaN or infinite in {bad.sum()} of {len(bad)} events, first "
                    f"in event {np.flatnonzero(bad)[0]}: repair the file"
                )

    def _cut_missing(self, state: list, where: str) -> None:
        """Refuse, drop or fill what is NaN in a feature; elsewhere it is refused."""
        columns, settings = state[0], self.settings
        dropped = np.zeros(len(state[2]), dtype=bool)
        for name in self.kept:
            missing = self._missing(columns[name], name, where)
            if not missing.any() or name in self.resettable or name not in self._must_have():
                continue
            if name not in settings.features or settings.missing == "refuse":
                choose = "choose input.missing: drop or fill, or " if name in settings.features else ""
                raise ValueError(
                    f"{where}: {name} is NaN in {missing.sum()} of {len(missing)} events after the cuts, first in "
                    f"number {np.flatnonzero(missing)[0]} of these: {choose}cut such events"
                )
            if settings.missing == "drop":
                dropped |= missing
            elif name not in settings.defaults:
                raise ValueError(f"{where}: {name} is NaN in {missing.sum()} events: add it to input.defaults")
            else:
                columns[name] = np.where(missing, settings.defaults[name], columns[name]).astype(columns[name].dtype)
        if settings.missing == "drop":
            self._cut(state, ~dropped, len(self.flow) - 1)

    def _missing(self, column, name: str, where: str) -> np.ndarray:
        """Say where a column is NaN, and refuse one that holds no numbers or is infinite."""
        if not isinstance(column, np.ndarray) or column.ndim != 1 or column.dtype.kind not in "biuf":
            kind = f"of shape {column.shape}, {column.dtype}" if isinstance(column, np.ndarray) else "jagged, or text"
            raise ValueError(f"{where}: {name} is {kind}, where one number per event is expected")
        if column.dtype.kind != "f":
            return np.zeros(len(column), dtype=bool)
        if (infinite := np.isinf(column)).any():
            raise ValueError(
                f"{where}: {name} is infinite in {infinite.sum()} of {len(column)} events that passed the cuts, first "
                f"in number {np.flatnonzero(infinite)[0]} of these: cut such events"
            )
        return np.isnan(column)

    def _images(self, jets) -> np.ndarray | None:
        images = self.settings.images
        if images is None:
            return None
        from coursekit.images import standardised_images, study_images  # loads what every worker else would wait for

        if images.kind == "study":
            return study_images(jets).astype(np.float32) / 255
        return 100 * standardised_images(jets, images.pixels, images.half_width, images.channels)

    def _constituents(self, columns: dict, jets, n: int, where: str) -> tuple[np.ndarray, np.ndarray] | None:
        settings = self.settings.constituents
        if settings is None:
            return None
        if settings.momenta:
            features = relative_features if settings.momenta == "relative" else flow_features
            return features(jets, upright=settings.upright)
        derived = Derived(settings.derived, "input.constituents.derived")
        names = derived.needed(settings.features)
        self.derived.add(columns, [name for name in names if name in self.derived.expressions], n, where)
        lists = {name: columns[name] for name in names if not isinstance(columns[name], np.ndarray)}
        if not lists:
            raise ValueError(f"{where}: input.constituents needs branches with lists, but {listed(names)} hold none")
        first, *others = lists
        counts = ak.to_numpy(ak.num(lists[first])).astype(np.int64)
        for other in others:
            if not np.array_equal(counts, ak.to_numpy(ak.num(lists[other]))):
                raise ValueError(f"{where}: the lists of {first} and {other} have unequal lengths")
        flat = {name: ak.to_numpy(ak.flatten(column)) for name, column in lists.items()}
        flat |= {name: np.repeat(columns[name], counts) for name in names if name not in lists}
        derived.add(flat, settings.features, int(counts.sum()), f"{where}, constituents")
        table = np.stack([flat[name] for name in settings.features], axis=1).astype(np.float32)
        if not np.isfinite(table).all():
            row, column = np.argwhere(~np.isfinite(table))[0]
            raise ValueError(f"{where}: {settings.features[column]} is not finite in constituent {row}")
        return table, counts
