"""Searchers, schedulers and stoppers of Ray Tune by their names, with their arguments checked."""

import importlib
import inspect
import json
import math
from typing import Any

from coursekit.study.settings import Study
from coursekit.study.settings.tune import Space
from coursekit.words import listed, near

#: What a searcher needs, and where it comes from.
LIBRARIES = {
    "ax": ("ax", "ax-platform"),
    "bayesopt": ("bayes_opt", "bayesian-optimization==1.4.3"),
    "bohb": ("hpbandster", "hpbandster ConfigSpace"),
    "hebo": ("hebo", "HEBO"),
    "hyperopt": ("hyperopt", '"coursekit[studies]"'),
    "nevergrad": ("nevergrad", "nevergrad"),
    "optuna": ("optuna", '"coursekit[studies]"'),
    "zoopt": ("zoopt", "zoopt"),
}
_SEEDS = ("seed", "random_state_seed", "random_state")
#: Short names, and what Ray calls them.
SCHEDULERS = {"asha": "async_hyperband", "median_stopping": "median_stopping_rule"}
#: These go on with the weights of another trial, which a training from settings alone does not.
_POPULATIONS = ("pbt", "pbt_replay", "pb2", "resource_changing")
#: These pause trials until others have come as far.
PAUSING = ("hyperband", "hb_bohb")
#: What the search says itself.
_OWN = {"metric", "mode", "space", "points_to_evaluate", "evaluated_rewards", "self", "max_concurrent", "dim_dict"}


def key_of(settings: dict[str, Any]) -> str:
    """Return the same text for the same settings, whatever their order."""
    return json.dumps(settings, sort_keys=True)


def domains(spaces: dict[str, Space]) -> dict:
    """Return the domains of Ray Tune that `Space.decoded` makes values of."""
    from ray import tune

    made = {}
    for key, space in spaces.items():
        if space.kind == "choice":
            made[key] = tune.choice(list(range(len(space.choice))))
        elif space.kind == "randint":
            made[key] = tune.randint(*space.randint)
        elif space.kind == "quniform":
            made[key] = tune.randint(0, space.n_steps + 1)
        elif space.kind == "uniform":
            made[key] = tune.uniform(*space.uniform)
        else:
            made[key] = tune.loguniform(*getattr(space, space.kind)[:2])
    return made


def make_searcher(study: Study):
    """Return what proposes trials: the same ones for the same seed, whatever order they end in.

    Raises
    ------
    ValueError
        There is no such searcher, or it has no such option.
    ImportError
        Its library is not installed.
    """
    from ray.tune.search import SEARCH_ALG_IMPORT, BasicVariantGenerator, ConcurrencyLimiter

    tune, search = study.tune, study.tune.search
    known = [name for name in SEARCH_ALG_IMPORT if name != "variant_generator"]
    _require_known(search.name, known, "search")
    pauses = is_pausing(study)
    if search.name == "random":
        _require_options(search.options, (), "search")
        # What is paused waits for others that must be free to begin.
        return BasicVariantGenerator(random_state=study.job.seed, max_concurrent=0 if pauses else tune.concurrency)
    if pauses and search.name != "bohb":
        raise ValueError(
            f"tune.scheduler: {tune.scheduler.name} pauses trials until others have come as far, and "
            f"{search.name} waits for trials to end: take asha, or search: {{name: random}}"
        )
    _require_library(search.name)
    made = SEARCH_ALG_IMPORT[search.name]()
    accepted, others = _arguments(made)
    _require_options(search.options, accepted, "search", others=others)
    seed = next((name for name in _SEEDS if name in accepted), None)
    options = ({seed: study.job.seed} if seed else {}) | search.options
    if search.name == "zoopt":
        options = {"budget": tune.trials} | options
    searcher = made(metric="metric", mode=tune.mode, **options)
    return ConcurrencyLimiter(searcher, tune.concurrency) if pauses else _in_order(searcher, tune.concurrency)


def is_pausing(study: Study) -> bool:
    """Tell whether the scheduler fills brackets of trials, which must all have begun before one of them may end."""
    return study.tune.scheduler is not None and _in_ray(study.tune.scheduler.name) in PAUSING


def make_scheduler(study: Study):
    """Return what ends trials that look bad beside others; None without a `scheduler`.

    Raises
    ------
    ValueError
        There is no such scheduler, or it has no such option.
    ImportError
        Its library is not installed.
    """
    if study.tune.scheduler is None:
        return None
    from ray.tune.schedulers import SCHEDULER_IMPORT

    name, options = _in_ray(study.tune.scheduler.name), study.tune.scheduler.options
    if name in _POPULATIONS:
        raise ValueError(
            f"tune.scheduler: {name} changes the settings of a network in the middle of its training, which then is "
            "no training that its settings describe: take asha, hyperband or median_stopping"
        )
    _require_known(name, [*SCHEDULERS, *(set(SCHEDULER_IMPORT) - set(_POPULATIONS))], "scheduler")
    made = SCHEDULER_IMPORT[name]
    made = made() if inspect.isfunction(made) else made
    accepted, _ = _arguments(made)
    _require_options(options, accepted, "scheduler")
    defaults = {"time_attr": "epoch", "max_t": study.train.epochs, "metric": "metric", "mode": study.tune.mode}
    if name == "median_stopping_rule":
        defaults["min_time_slice"] = math.inf  # or it pauses trials, which begin from the start again
    known = set(accepted) | {"metric", "mode"}
    options = {key: value for key, value in defaults.items() if key in known and name != "fifo"} | options
    made = made if name in PAUSING else _heeding_the_record(made)
    try:
        return made(**options)
    except (AssertionError, ValueError, TypeError) as error:
        raise ValueError(f"tune.scheduler: {study.tune.scheduler.name} refuses its options: {error}") from error


def make_stopper(study: Study):
    """Return what ends a trial by its own course; None without a `stopper`.

    Raises
    ------
    ValueError
        It has no such option, or needs one.
    """
    if study.tune.stopper is None:
        return None
    from ray.tune.stopper import MaximumIterationStopper, TrialPlateauStopper

    name, options = study.tune.stopper.name, study.tune.stopper.options
    made = {"plateau": TrialPlateauStopper, "max_iterations": MaximumIterationStopper}[name]
    accepted, _ = _arguments(made)
    _require_options(options, accepted, "stopper")
    if name == "max_iterations" and "max_iter" not in options:
        raise ValueError("tune.stopper: max_iterations needs options: {max_iter: N}, the number of epochs")
    if name == "plateau":
        options = {"metric": "metric", "mode": study.tune.mode} | options
    return made(**options)


def _heeding_the_record(made: type) -> type:
    """Return a scheduler that learns from recorded trials, and never ends one earlier than it had ended.

    What it decides depends on the order in which results come, and recorded ones come at once. Schedulers that pause
    trials wait for all of a bracket, and decide the same again.
    """

    class HeedingTheRecord(made):
        def on_trial_result(self, tune_controller, trial, result):
            decision = super().on_trial_result(tune_controller, trial, result)
            if not result.get("replayed"):
                return decision
            getattr(self, "_stopped_trials", set()).discard(trial)  # or median_stopping hears no more of it
            return self.CONTINUE

    return HeedingTheRecord


def _in_ray(name: str) -> str:
    return SCHEDULERS.get(name, name)


def _arguments(made: type) -> tuple[list[str], bool]:
    """Return the names of the arguments that a user may give, and whether there may be others."""
    parameters = inspect.signature(made.__init__).parameters.values()
    others = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return [name for name in named if name not in _OWN], others


def _require_known(name: str, known: list[str], key: str) -> None:
    if name not in known:
        raise ValueError(f"tune.{key}: there is none of the name {name!r};{near(name, known)} {listed(known)} exist")


def _require_options(options: dict, accepted, key: str, others: bool = False) -> None:
    for name in options:
        if name in _OWN:
            raise ValueError(f"tune.{key}.options: {name} is said by the other keys of tune: leave it out")
        if name not in accepted and not others:
            raise ValueError(
                f"tune.{key}.options: there is no {name!r};{near(name, accepted)} its options are {listed(accepted)}"
            )


def _require_library(name: str) -> None:
    module, package = LIBRARIES.get(name, (name, name))
    try:
        library = importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"tune.search: {name} needs the library {module}, which is not here: pip install {package}; or take "
            "search: {name: random}, which needs none"
        ) from error
    if name == "optuna":
        library.logging.set_verbosity(library.logging.WARNING)


def _in_order(searcher, concurrency: int):
    """Let a searcher learn from trials in the order in which it proposed them, always from as many.

    Trial k is proposed when all trials up to k - `concurrency` have ended, and the searcher knows these and no others:
    what it proposes does not depend on which of the running trials is faster.
    """
    from ray.tune.search import ConcurrencyLimiter

    class InOrder(ConcurrencyLimiter):
        def __init__(self):
            super().__init__(searcher, concurrency)
            self._limit_concurrency = True
            self.proposed, self.ended, self.told = [], {}, 0

        def suggest(self, trial_id):
            while self.told <= len(self.proposed) - self.max_concurrent:
                first = self.proposed[self.told]
                if first not in self.ended:
                    return None
                result, failed = self.ended.pop(first)
                self.searcher.on_trial_complete(first, result=result, error=failed)
                self.told += 1
            suggestion = self.searcher.suggest(trial_id)
            if isinstance(suggestion, dict):
                self.proposed.append(trial_id)
            return suggestion

        def on_trial_result(self, trial_id, result):
            pass  # in which order these come is a matter of speed

        def on_trial_complete(self, trial_id, result=None, error=False):
            failed = error or not result or not math.isfinite(result["metric"])
            self.ended[trial_id] = (None, True) if failed else (result, False)

    return InOrder()
