"""What a study file may say, section by section; a study is one object of these."""

from coursekit.study.settings.apply import Apply
from coursekit.study.settings.base import Section
from coursekit.study.settings.input import Input
from coursekit.study.settings.job import Config, Job
from coursekit.study.settings.train import Train
from coursekit.study.settings.tune import Tune


class Study(Section):
    """A whole study file with all its defaults."""

    config: Config = Config()
    job: Job
    input: Input
    train: Train = Train()
    tune: Tune | None = None
    apply: Apply = Apply()
