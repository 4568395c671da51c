"""What a run tells of itself in ``log.txt``: its events, how inputs are scaled, and how long everything took."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator

from coursekit.console import say
from coursekit.files import naming_if_full
from coursekit.study.dataset import Dataset
from coursekit.study.folder import RunFolder, training_name
from coursekit.study.outcome import Trained
from coursekit.study.reading import Resolved

__all__ = ["cut_flow", "parts_and_scaling", "peak_mib", "said", "trained_line", "written"]

_log = logging.getLogger("coursekit")


class _Log(logging.FileHandler):
    """A log file; when the disk is full the run ends, and does not go on unseen."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        with naming_if_full(self.baseFilename):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Raise again what logging would print."""
        raise


class _Shown(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Show a line above the progress bars."""
        say(record.getMessage())


@contextlib.contextmanager
def written(run: RunFolder, verbose: bool) -> Iterator[None]:
    """Write what is told while the block runs to ``log.txt``, and show it if `verbose`; the last line is its error."""
    handlers = [_Log(run.log, encoding="utf-8"), *([_Shown()] if verbose else [])]
    handlers[0].setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    levels = {_log: logging.INFO, logging.getLogger("tensorflow"): logging.ERROR}  # whose hints are for its developers
    before = {logger: logger.level for logger in levels}
    for logger, level in levels.items():
        logger.setLevel(level)
    for handler in handlers:
        _log.addHandler(handler)
    try:
        yield
        _log.info("finished")
    except BaseException as error:
        with contextlib.suppress(OSError):  # as when the disk is full
            _log.info("ended by %s: %s", type(error).__name__, error)
            _log.info("%s", "".join(traceback.format_exception(error)).rstrip())
        raise
    finally:
        for logger, level in before.items():
            logger.setLevel(level)
        for handler in handlers:
            _log.removeHandler(handler)
            with contextlib.suppress(OSError):
                handler.close()


def said(resolved: Resolved) -> list[str]:
    """Return what the study was read from, and every value that is not a default."""
    lines = [f"study file: {resolved.files[0]}", *(f"  includes {file}" for file in resolved.files[1:])]
    for key, origin in resolved.origins.items():
        value = _value(resolved.values, key)
        if origin != "default" and not isinstance(value, dict) and "[" not in key:
            lines.append(f"  {key}: {value}  ({origin})")
    return lines


def cut_flow(dataset: Dataset) -> list[str]:
    """Return how many events of each sample each cut has left."""
    lines = [f"{len(dataset.labels)} events of {len(dataset.samples)} samples; classes {', '.join(dataset.classes)}"]
    for row in dataset.flow.itertuples(index=False):
        lines.append(f"  {row.sample}: {row.cut}: {row.events} events, sum of weights {row.weight:.6g}")
    return lines


def parts_and_scaling(dataset: Dataset, fold: int | None) -> list[str]:
    """Return what a training trains, validates and tests on, and mean and variance that its inputs are scaled by."""
    view = dataset.view(fold)
    lines = [f"fold {fold}:"] if fold is not None else []
    lines += [
        f"  {row['part']}: {row['events']} events of {row['class']}, sum of weights {row['weight']:.6g}, "
        f"in the training {row['training weight']:.6g}"
        for row in view.summary
    ]
    scaler = view.scaler
    for name, offset, scale in zip(scaler.inputs, scaler.offset, scaler.scale, strict=True) if scaler else ():
        lines.append(f"  {name}: mean {-offset:.6g}, variance {scale**-2:.6g}")
    return lines


def trained_line(trained: Trained) -> str:
    """Return what became of a training."""
    training = trained.training
    best = {name: values[training.best_epoch - 1] for name, values in training.history.items() if values}
    measured = ", ".join(f"{name} {value:.4f}" for name, value in best.items())
    n_epochs = max(map(len, training.history.values()), default=0)
    name = training_name(training.seed, training.fold)
    return f"{name}: {n_epochs} epochs, that of number {training.best_epoch} is kept: {measured}"


def peak_mib() -> float | None:
    """Return the largest memory that this process has had so far, in MiB; None on Windows, which does not count it."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def _value(values: dict, key: str):
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
