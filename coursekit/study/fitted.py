"""What a training fits on its events beside its network, kept so that other events are treated in the same way."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coursekit.preprocess import Scaler
from coursekit.study.settings.input import Input

__all__ = ["Fitted", "is_scaled"]

_SCALER, _REST = "variables.json", "fitted.json"


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a training has fitted on its training events beside its network.

    Attributes
    ----------
    scaler : Scaler or None
    resets : dict of str to (values, shares)
        As in `View`.
    sums : dict of str to float
        By class, the sum of weights that the network has trained with: the proportion that its probabilities are of.
    """

    scaler: Scaler | None
    resets: dict[str, tuple[np.ndarray, np.ndarray]]
    sums: dict[str, float]

    @classmethod
    def of(cls, view) -> "Fitted":
        """Return what a view has fitted."""
        labels, weights = view.dataset.labels[view.training], view.weights[view.training]
        sums = {name: float(weights[labels == number].sum()) for number, name in enumerate(view.dataset.classes)}
        return cls(view.scaler, view.resets, sums)

    def files(self) -> dict[str, bytes]:
        """Return what is kept of it, by name of file: ``variables.json`` of the scaler, ``fitted.json`` of the rest."""
        resets = {name: {"values": v.tolist(), "shares": s.tolist()} for name, (v, s) in self.resets.items()}
        kept = {_REST: json.dumps({"sums": self.sums, "resets": resets}, indent=1).encode()}
        return kept if self.scaler is None else kept | {_SCALER: self.scaler.to_json().encode()}

    @classmethod
    def read(cls, files: Mapping[str, bytes], dataset) -> "Fitted":
        """Return what was kept, for the events of a dataset.

        Parameters
        ----------
        files : mapping of str to bytes
            Of one training, by name.
        dataset : Dataset

        Raises
        ------
        ValueError
            It is damaged, or made for other features than those of the dataset.
        """
        settings = dataset.study.input
        needed = [_REST, *([_SCALER] if is_scaled(settings) else [])]
        if missing := [name for name in needed if name not in files]:
            raise ValueError(f"{missing[0]} of the training is missing, so that its inputs are not known: train again")
        try:
            said = json.loads(files[_REST])
            sums = {str(name): float(value) for name, value in said["sums"].items()}
            resets = {name: (np.array(one["values"], float), np.array(one["shares"], float))
                      for name, one in said["resets"].items()}  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{_REST} of the training is damaged ({error!r}): train again") from error
        drawn = [name for name, reset in settings.reset.items() if reset.evaluation is None]
        if unknown := [name for name in drawn if name not in resets]:
            raise ValueError(
                f"input.reset.{unknown[0]}: the network was not trained with it, so there is nothing to draw from: "
                "give its evaluation, or train again"
            )
        return cls(_scaler(files[_SCALER], dataset.features) if is_scaled(settings) else None, resets, sums)


def is_scaled(settings: Input) -> bool:
    """Say whether inputs are scaled: not pictures, nor the shares of an energy flow, which must add up to one."""
    flow = settings.constituents and settings.constituents.momenta == "flow"
    return not (settings.scale == "none" or settings.images or flow)


def _scaler(content: bytes, features: tuple[str, ...]) -> Scaler:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _SCALER
        path.write_bytes(content)
        return Scaler.load(path, features)
