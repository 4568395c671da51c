"""The ledger: which scores the taggers of all lessons gave to the same test jets.

Taggers are compared on the same jets or not at all. Each lesson records the scores of its taggers, and a later one
reads them instead of training everything again. The scores on the shipped test jets come with the course.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coursekit import data
from coursekit.arrays import binary_labels, numbers, whole_number
from coursekit.files import save_arrays
from coursekit.locks import locked
from coursekit.trees import first_line, is_about_the_machine, is_memory

__all__ = ["Entry", "record", "recorded"]


@dataclass(frozen=True, eq=False)
class Entry:
    """What one tagger said of the test jets.

    Attributes
    ----------
    lesson : str
        The lesson that trained it, ``"08"``.
    score : (N,) float32 array
        Rises with signal.
    n_training : int
        Jets that it was trained on.
    """

    lesson: str
    score: np.ndarray
    n_training: int


def record(work: Path, tagger: str, labels, score, n_training: int) -> Path:
    """Keep the scores that a tagger gives to a lesson's test jets; a second record of the name replaces the first.

    Parameters
    ----------
    work : pathlib.Path
        The folder that `coursekit.setup` returned, ``work/08``: its name is the lesson's number.
    tagger : str
        The name under which others find it: "all, trees".
    labels : (N,) array of 0 and 1
        Of the test jets, in the order of the file. They identify the sample.
    score : (N,) array
        Finite; kept as float32.
    n_training : int
        Jets that the tagger was trained on.

    Returns
    -------
    pathlib.Path
        ``ledger/08.npz`` in ``$COURSEKIT_DATA`` if that is set, since the scores belong to the jets there, else beside
        the lesson's folder.

    Raises
    ------
    ValueError
        If shapes differ, a score is not finite, a label is not 0 or 1, `tagger` is no name, or `n_training` no number.
    OSError
        The file that is there is damaged, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> work = Path(tempfile.mkdtemp()) / "08"
    >>> _ = record(work, "coin", [0, 1, 1], [0.2, 0.9, 0.4], n_training=0)
    >>> recorded(work, [0, 1, 1])["coin"].score.tolist()[0] < 0.3
    True
    """
    labels = _labels(labels)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        score = numbers(score, f"{tagger}: score").astype(np.float32)
    if score.shape != labels.shape:
        raise ValueError(f"{tagger}: expected a score for each of {len(labels)} jets, shape (N,), got {score.shape}")
    if not np.isfinite(score).all():
        raise ValueError(
            f"{tagger}: {np.count_nonzero(~np.isfinite(score))} of {len(score)} scores are NaN or infinite"
        )
    # A file that cannot be read back takes along what others have recorded there.
    n_training, work = whole_number(n_training, "n_training"), Path(work)
    if not 0 <= n_training < 2**63:
        raise ValueError(f"n_training is a number of jets, but {n_training} came")
    if not isinstance(tagger, str) or not tagger or tagger.endswith("\0"):
        raise ValueError(f"tagger is the name under which others find these scores, but {tagger!r} came")
    path = _own_folder(work) / f"{work.name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):  # two notebooks of one lesson: each must find what the other has recorded
        entries = {name: entry for name, entry in _read(path, labels).items() if name != tagger}
        entries[tagger] = Entry(work.name, score, n_training)
        save_arrays(
            path,
            labels=labels,
            taggers=np.array(list(entries)),
            scores=np.stack([entry.score for entry in entries.values()]),
            n_training=np.array([entry.n_training for entry in entries.values()]),
        )
    return path


def recorded(work: Path, labels) -> dict[str, Entry]:
    """Return what has been recorded on exactly these test jets, by this course and by you.

    Parameters
    ----------
    work : pathlib.Path
        The folder that `coursekit.setup` returned.
    labels : (N,) array of 0 and 1
        Of the test jets, in the order of the file.

    Returns
    -------
    dict of str to Entry
        By the tagger's name, in the order of the lessons; your own scores take the place of shipped ones. Empty for
        jets that nobody has scored, such as a sample of your own before lesson 07 was run on it.

    Raises
    ------
    OSError
        If a file of the ledger is damaged; says which one to delete.
    """
    labels = _labels(labels)
    found = {}
    for folder in (data.shipped_folder() / "ledger", _own_folder(Path(work))):
        for path in sorted(folder.glob("??.npz")):
            found |= _read(path, labels)
    return dict(sorted(found.items(), key=lambda item: item[1].lesson))


def _own_folder(work: Path) -> Path:
    return (data.cache_folder() if os.environ.get("COURSEKIT_DATA") else work.parent) / "ledger"


def _labels(labels) -> np.ndarray:
    return binary_labels(labels).astype(np.uint8)


def _read(path: Path, labels: np.ndarray) -> dict[str, Entry]:
    """Return the entries of one file if they are about these jets."""
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file, np.load(file) as stored:
            if not np.array_equal(stored["labels"], labels):
                return {}
            taggers, scores, n_training = (stored[name] for name in ("taggers", "scores", "n_training"))
            if scores.shape != (len(taggers), len(labels)):
                raise ValueError(f"{len(taggers)} taggers and {len(labels)} jets, but scores {scores.shape}")
            return {
                str(name): Entry(path.stem, score, int(n))
                for name, score, n in zip(taggers, scores, n_training, strict=True)
            }
    except Exception as error:  # zip, pickle and numpy raise many kinds for bytes that are not theirs
        if is_memory(error) or is_about_the_machine(error):
            raise
        reason = first_line(error)
        raise OSError(f"{path} is damaged ({reason}); delete it, and run lesson {path.stem} again") from error
