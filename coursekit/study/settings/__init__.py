"""What a study file may say, section by section; a study is one object of these."""

from pydantic import model_validator

from coursekit.study.settings.apply import Apply
from coursekit.study.settings.apply_fit import require_fit
from coursekit.study.settings.base import Section
from coursekit.study.settings.input import Input
from coursekit.study.settings.job import Config, Job
from coursekit.study.settings.train import Train
from coursekit.study.settings.tune import Tune, check_space
from coursekit.words import listed, near


class Study(Section):
    """A whole study file with all its defaults."""

    config: Config = Config()
    job: Job
    input: Input
    train: Train = Train()
    tune: Tune | None = None
    apply: Apply = Apply()

    @model_validator(mode="after")
    def _every_section_is_used(self):
        steps = self.job.steps
        if "tune" in steps and self.tune is None:
            raise ValueError("tune is a step of job.steps, but there is no section of this name: say what is searched")
        if self.tune is not None and "tune" not in steps:
            raise ValueError("tune has no effect without a step of this name: add it to job.steps, or write tune: null")
        if self.config.best_of and ("tune" in steps or "train" not in steps):
            why = "the search of this study decides" if "tune" in steps else "nothing is trained"
            raise ValueError(f"config.best_of has no effect, {why}: leave it out")
        if "apply" in self.model_fields_set and "apply" not in steps:
            raise ValueError("apply has no effect without a step of this name: add it to job.steps, or leave it out")
        if self.job.seed + self.train.repeats > 2**32:
            raise ValueError("job.seed is too large for so many repeats: a seed is below 4294967296")
        return self

    @model_validator(mode="after")
    def _sections_agree(self):
        task, inputs = self.train.task, self.input
        if (task == "regression") != (inputs.target is not None):
            raise ValueError(
                "train.task is regression, but there is no input.target: name the column that is learned"
                if inputs.target is None
                else f"input.target has no effect on a {task}: say task: regression in train, or leave it out"
            )
        if (task == "cwola") != bool(inputs.mixtures):
            raise ValueError(
                "train.task is cwola, but there are no input.mixtures: give the signal fraction of each of the two"
                if not inputs.mixtures
                else f"input.mixtures has no effect on a {task}: say task: cwola in train, or leave it out"
            )
        if task == "classification" and self.train.loss == "mse" and len(inputs.class_names) > 2:
            known = inputs.class_names
            raise ValueError(
                f"train.loss: mse compares one number with 0 and 1, but there are {listed(known)}: leave it out"
            )
        if self.train.folds and "fractions" in inputs.split.model_fields_set:
            raise ValueError("input.split.fractions has no effect with train.folds, which split by themselves")
        if wrong := [name for name in self.train.class_weights if name not in inputs.class_names]:
            known = inputs.class_names
            raise ValueError(
                f"train.class_weights.{wrong[0]}: no such class;{near(wrong[0], known)} there are {listed(known)}"
            )
        if not self.job.trained:
            _require_events(inputs)
        elif not inputs.class_names:
            raise ValueError("input.classes: there are only data: say the classes that the network was trained with")
        require_fit(self)
        if self.tune is not None:
            check_space(self)
        return self


def _require_events(inputs: Input) -> None:
    """Refuse classes that nothing could be learned of."""
    if not (inputs.signals or inputs.backgrounds):
        raise ValueError("input: there is neither a sample in signals nor one in backgrounds")
    there = inputs.labels("backgrounds") + inputs.labels("signals")
    for name in inputs.classes:
        if name not in there:
            raise ValueError(f"input.classes names {name}, which no sample has as its label;{near(name, there)}")
