"""The networks of another run, for a study that only applies them: to the events of that run, or to others."""

import logging
from collections.abc import Callable
from dataclasses import replace

from coursekit.cluster import each
from coursekit.study.dataset import Dataset
from coursekit.study.fitted import Fitted
from coursekit.study.folder import RunFolder
from coursekit.study.outcome import Outcome, Trained
from coursekit.study.reading import Resolved, read_study
from coursekit.study.record import origin_differences
from coursekit.study.samples import Derived
from coursekit.study.settings import Study
from coursekit.study.writing import differences
from coursekit.words import listed

__all__ = ["applied", "trainings"]

_log = logging.getLogger("coursekit")
#: What decides what a network sees of an event.
_INPUTS = ("features", "constituents", "images", "defaults", "fill", "checks", "scale", "target")


def trainings(study: Study) -> list[tuple[int, int | None]]:
    """Return seed and fold of each training of a study."""
    folds = range(study.train.folds) if study.train.folds else [None]
    return [(study.job.seed + repeat, fold) for repeat in range(study.train.repeats) for fold in folds]


def applied(
    resolved: Resolved, run: RunFolder, dataset: Dataset, progress: Callable[[str, int, int], None]
) -> tuple[Dataset, Outcome]:
    """Take over the scores of the run `job.trained` if the events are the very same, else apply its networks to them.

    Parameters
    ----------
    resolved : Resolved
    run : RunFolder
        Of this study, which gets the networks and their scores.
    dataset : Dataset
    progress : callable
        Called as ``progress(what, done, total)``.

    Returns
    -------
    dataset : Dataset
        Which knows what was fitted on other events, if the networks have to be applied to these.
    outcome : Outcome

    Raises
    ------
    FileNotFoundError
        There is no such run.
    ValueError
        The networks see something else than these events have, or it would not be known which of these were trained on.
    """
    from coursekit.study.training import apply_network, combine

    other = RunFolder.open(resolved.study.job.trained)
    source = _source(other)
    found = [other.training(*task) for task in trainings(source.study)]
    if None in found:
        raise ValueError(f"job.trained: {other.path} has not trained all its networks: finish it with --resume")
    _require_same_inputs(other, source, resolved)
    changes = _changes(other, source, resolved, run)
    if not changes and len(found[0].scores) != len(dataset.labels):
        changes = [f"{len(found[0].scores)} events -> {len(dataset.labels)}, as of a run with --debug and one without"]
    kept = [run.training(*task) for task in trainings(source.study)]  # of a run that goes on
    missing = [number for number, trained in enumerate(kept) if trained is None]
    if changes:
        _tell([f"apply {len(found)} networks of {other.path} to other events:", *(f"  {line}" for line in changes)])
        _tell(_of_places(other, source, resolved, run))
        dataset = replace(dataset, fitted={one.training.fold: Fitted.read(one.files, dataset) for one in found})
    else:
        _tell([f"take over {len(found)} trainings from {other.path}, whose events are the same"])

    def finished(number: int, trained: Trained) -> None:
        run.keep_training(trained)
        kept[missing[number]] = trained
        progress("networks", sum(one is not None for one in kept), len(kept))

    if changes:
        each(apply_network, [(found[n].files,) for n in missing], resolved.study.job.ray, (dataset,), finished=finished)
    else:
        for number, place in enumerate(missing):
            finished(number, found[place])
    return dataset, combine(dataset, kept)


def _source(other: RunFolder) -> Resolved:
    """Return the study that a run was trained with."""
    tuned = other.path / "trained.yaml"
    source = read_study(tuned if tuned.is_file() else other.path / "study.yaml")
    if source.study.job.trained:
        raise ValueError(
            f"job.trained: {other.path} has trained nothing, it applies {source.study.job.trained}: name that"
        )
    return source


def _require_same_inputs(other: RunFolder, source: Resolved, resolved: Resolved) -> None:
    """Refuse whatever makes the inputs of the networks, or the parts of events, others than in their training."""
    differ = differences(_that_must_agree(source), _that_must_agree(resolved))
    if differ:
        raise ValueError(
            f"job.trained: {other.path} was trained with other settings: {'; '.join(differ)}; its networks take no "
            "others, so say the same here, or train again"
        )


def _that_must_agree(resolved: Resolved) -> dict:
    """Return the values that decide what a network sees of an event, and whether it was trained on it."""
    inputs, values = resolved.study.input, resolved.values
    said = {key: values["input"][key] for key in _INPUTS}
    said["classes"] = list(inputs.class_names)
    said["reset"] = {
        name: {key: value for key, value in reset.items() if key != "evaluation"}
        for name, reset in values["input"]["reset"].items()
    }
    columns = [*inputs.features, *inputs.split.keys, *([inputs.target] if inputs.target else [])]
    if inputs.constituents:
        of_each = Derived(inputs.constituents.derived, "input.constituents.derived")
        columns += of_each.needed(inputs.constituents.features)
    said["derived"] = {
        name: values["input"]["derived"][name] for name in Derived(inputs.derived, "input.derived").order(columns)
    }
    split = dict(values["input"]["split"])
    if resolved.study.train.folds:
        del split["fractions"]
    said["split"] = split
    seed = resolved.study.job.seed if not inputs.split.keys and inputs.split.salt is None else None
    return {"job": {"seed": seed}, "input": said, "train": values["train"]}


def _changes(other: RunFolder, source: Resolved, resolved: Resolved, run: RunFolder) -> list[str]:
    """Name what makes the events, or their weights, others than those of the training."""
    found = differences(_of_events(source), _of_events(resolved))
    return found + [line for line in origin_differences(_files(other), _files(run)) if line not in found]


def _of_events(resolved: Resolved) -> dict:
    inputs = {key: value for key, value in resolved.values["input"].items() if key not in ("spectators", "memory")}
    return {"job": {"seed": resolved.values["job"]["seed"]}, "input": inputs}


def _files(run: RunFolder) -> dict:
    return {"inputs": run.facts().get("inputs", [])}


def _of_places(other: RunFolder, source: Resolved, resolved: Resolved, run: RunFolder) -> list[str]:
    """Say, without keys, of which files events that were trained on may be tested; refuse it where it is certain."""
    if resolved.study.input.split.keys:
        return ["events are recognised by input.split.keys: those of the training are in the same parts again"]
    before, here = _places(source, other), _places(resolved, run)
    for content, places in here.items():
        if content in before and not set(places) <= set(before[content]):
            sample, number, file = next(place for place in places if place not in before[content])
            was, at, _ = before[content][0]
            raise ValueError(
                f"job.trained: {file}, number {number} of the files of {sample}, was number {at} of {was} in the "
                "training; without input.split.keys an event is recognised by its place, and events of the training "
                "would be tested: give it the same sample and place, or train with keys"
            )
    new = [places[0][2] for content, places in here.items() if content not in before]
    if not new:
        return ["events are recognised by their places in samples: those of the training are in the same parts again"]
    return [
        "there are no input.split.keys that events are recognised by: if these files hold events of the training, some "
        f"of those are among the tested ones: {listed(new)}"
    ]


def _places(resolved: Resolved, run: RunFolder) -> dict[str, list[tuple[str, int, str]]]:
    """Return sample, number and name of each file of simulated events, by the hash of its content."""
    hashes, found = {entry["file"]: entry["sha256"] for entry in run.facts().get("inputs", ())}, {}
    for name, (section, sample) in resolved.study.input.samples().items():
        for number, file in enumerate(sample.files if section != "data" else ()):
            found.setdefault(hashes.get(file, file), []).append((name, number, file))
    return found


def _tell(lines: list[str]) -> None:
    for line in lines:
        _log.info("%s", line)
