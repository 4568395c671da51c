"""Files of the older framework, whose keys are listed in `former`, written again as a study of ours."""

import os
from pathlib import Path

from coursekit.study.documents import StudyError, kind
from coursekit.study.former import FORMER
from coursekit.study.older import Old, read_old
from coursekit.study.reading import checked
from coursekit.study.settings import Study
from coursekit.study.settings.base import section_at
from coursekit.study.writing import lines

#: Words of values: theirs, and ours.
WORDS = {
    "negative_weights": {"to_zero": "zero", "zero": "zero", "to_positive": "absolute", "positive": "absolute"}
    | {"keep": "keep"},
    "of": {"all": "together", "all_norm": "each"},
    "monitor": {"val_loss": "loss", "val_accuracy": "accuracy", "val_acc": "accuracy", "val_auc": "auc"},
    "search": {"OptunaSearch": "optuna", "HyperOptSearch": "hyperopt"},
    "scheduler": {"ASHAScheduler": "asha", "AsyncHyperBandScheduler": "asha", "HyperBandScheduler": "hyperband"}
    | {"MedianStoppingRule": "median_stopping"},
    "stopper": {"TrialPlateauStopper": "plateau"},
    "tuned": {
        "learn_rate": "train.optimiser.learning_rate",
        "learn_rate_decay": "train.optimiser.decay",
        "momentum": "train.optimiser.momentum",
        "dropout_rate": "train.options.dropout",
        "batch_size": "train.batch_size",
        "epochs": "train.epochs",
    },
}
#: Switches of figures, and the section of `apply` that draws them.
FIGURES = {
    "book_history": "histories",
    "book_kine": "kinematics",
    "book_cor_matrix": "correlations",
    "book_roc": "performance",
    "book_train_test_compare": "train_test",
    "book_importance_study": "importance",
    "book_mva_scores_data_mc": "scores",
    "book_significance_scan": "significance",
    "book_cut_kine_study": "cuts",
    "book_fit_inputs": "fit_inputs",
}


def migrate(path: str | os.PathLike) -> tuple[str, list[str]]:
    """Write a file of the older framework, with all that it includes, as one study file.

    Parameters
    ----------
    path : path-like
        Its file; what it includes is looked for beside it and in the folders above.

    Returns
    -------
    tuple of str and list of str
        The text of the study file, and a remark for each thing that could not be carried over as it was, with
        ``FILE:LINE: section.key``. What the study still lacks is among them.

    Raises
    ------
    StudyError
        The file cannot be read, or has no key of the older framework.
    """
    values, marks = read_old(Path(path), ())
    old = Old(values, marks)
    if not any(key in FORMER and FORMER[key].new != key for key in old.names()):
        raise StudyError(f"{path}: has no key of the older framework, such as input.sig_list: it is a study already?")
    for section in (_job, _input, _network, _train, _tune, _apply):
        section(old)
    old.remark_what_is_left()
    try:
        checked(old.new, old.marks_of_new)
    except StudyError as error:
        old.remarks += [f"still to do: {line}" for line in error.lines]
    origins = {".".join(key): str(mark) for key, mark in old.marks_of_new.items()}
    head = [f"# Written from {path}, whose lines are behind the values.", *(f"# {line}" for line in old.remarks)]
    return "\n".join([*head, *lines(old.new, origins)]) + "\n", old.remarks


def _job(old: Old) -> None:
    old.move("job.job_name", "job.name", str)
    steps = old.take("job.job_type")
    if steps is not None:
        old.put("job.steps", [str(steps)], "job.job_type")
    old.move("job.save_dir", "job.folder")
    if (seed := old.take("job.rdm_seed")) is not None:
        old.put("job.seed", seed, "job.rdm_seed")
    if old.take("job.fix_rdm_seed") is False:
        old.remark("job.fix_rdm_seed", "here the seed is always fixed: other numbers come from another job.seed")
    for key in ("job.train_job_name", "job.load_job_name"):
        if steps == "apply" and (name := old.take(key)) is not None:
            old.put("job.trained", name, key)
            old.remark(key, "job.trained is a run folder: write its path, such as runs/NAME/DATE_v01")
    if old.take("config.best_tune_overwrite") and (name := old.take("job.tune_job_name")) is not None:
        old.put("config.best_of", name, "job.tune_job_name")
        old.remark("job.tune_job_name", "config.best_of is a run folder: write its path, such as runs/NAME/DATE_v01")


def _input(old: Old) -> None:
    source = old.take("input.input_path")
    scales = old.take("input.custom_sample_scale", {}, dict)
    for key, ours in (("sig_list", "signals"), ("bkg_list", "backgrounds"), ("data_list", "data")):
        for name in old.take(f"input.{key}", [], list):
            file = f"{name}.feather" if source is None else (Path(str(source)).parent / f"{name}.feather").as_posix()
            old.put(("input", ours, str(name), "files"), [file], f"input.{key}", "input.input_path")
            if str(name) in scales and ours != "data":
                old.put(("input", ours, str(name), "scale"), scales[str(name)], "input.custom_sample_scale")
    if source is not None:
        old.remark(
            "input.input_path",
            f"here each sample has its own files: split {source} by its column sample_name, with pandas: "
            "for name, part in table.groupby('sample_name'): part.reset_index(drop=True).to_feather(f'{name}.feather')",
        )
        old.put("input.weight", "weight", "input.input_path")
    old.move("input.selected_features", "input.features")
    old.move("input.validation_features", "input.spectators")
    old.move("input.cut_expression", "input.cut")
    if (scale := old.take("input.reshape_input", old.take("input.norm_array"))) is not None:
        old.put("input.scale", "weighted" if scale else "none", "input.reshape_input", "input.norm_array")
        if scale:
            old.remark("input.reshape_input", "means are those of all training events, not of all background events")
    if old.take("input.rm_negative_weight_events"):
        old.put("input.negative_weights", "remove", "input.rm_negative_weight_events")
    old.word("input.negative_weight_process", "input.negative_weights", WORDS["negative_weights"])
    if old.take("input.reweight_input", True):
        for name, label in (("sig", "signal"), ("bkg", "background")):
            if (total := old.take(f"input.{name}_sumofweight")) is not None:
                old.put(("input", "targets", label, "sum"), total, f"input.{name}_sumofweight")
                old.word(f"input.{name}_key", f"input.targets.{label}.of", WORDS["of"])
    feature = old.take("input.reset_feature_name")
    fixed = old.take("input.reset_feature_overwrite_value") if old.take("input.reset_feature_overwrite") else None
    resets = old.take("input.reset_feature")
    if feature is not None and (resets or fixed is not None):
        at = ("input", "reset", str(feature))
        old.put((*at, "training"), "signal", "input.reset_feature_name")
        if fixed is not None:
            old.put((*at, "evaluation"), fixed, "input.reset_feature_overwrite_value")
            old.remark("input.reset_feature_overwrite_value", "is taken for the signal, too")
    _split(old)


def _split(old: Old) -> None:
    test, validation = old.take("input.test_rate", kinds=(int, float)), old.take("train.val_split", kinds=(int, float))
    if old.take("train.k_folds"):
        if test is not None or validation is not None:
            old.remark("input.test_rate", "left out: with train.folds each fold tests once, and another one validates")
        return
    if test is None and validation is None:
        return
    test, validation = (0.2 if test is None else test), (0.25 if validation is None else validation)
    parts = [round((1 - test) * (1 - validation), 12), round((1 - test) * validation, 12), test]
    old.put("input.split.fractions", parts, "input.test_rate", "train.val_split")


def _network(old: Old) -> None:
    name = old.take("train.model_class")
    if name is not None:
        old.put("train.network", "dense", "train.model_class")
        if name != "Model_Sequential_Flat":
            old.remark("train.model_class", f"{kind(name)} became dense: an own network is module:function")
    layers, nodes = old.take("train.layers", kinds=int), old.take("train.nodes", kinds=int)
    if layers is not None and nodes is not None and 0 < layers <= 1000:
        old.put("train.options.hidden", [nodes] * layers, "train.layers")
    elif layers is not None or nodes is not None:
        old.remark(
            "train.layers", "layers and nodes make `hidden` of train.options, the widths of all layers: left out"
        )
    old.move("train.dropout_rate", "train.options.dropout")


def _train(old: Old) -> None:
    momentum = old.take("train.momentum")
    if isinstance(old.values.get("train"), dict):  # nothing else can be chosen there
        old.put("train.optimiser.name", "sgd", "train.momentum", "train.learn_rate")
    old.move("train.learn_rate", "train.optimiser.learning_rate")
    old.move("train.learn_rate_decay", "train.optimiser.decay")
    if momentum is not None:
        old.put("train.optimiser.momentum", momentum, "train.momentum")
    if old.take("train.nesterov") and momentum:
        old.put("train.optimiser.nesterov", True, "train.nesterov")
    for key in ("batch_size", "epochs"):
        old.move(f"train.{key}", f"train.{key}")
    if folds := old.take("train.k_folds"):
        old.put("train.folds", folds, "train.k_folds")
    for name, label in (("sig", "signal"), ("bkg", "background")):
        old.move(f"train.{name}_class_weight", f"train.class_weights.{label}")
    _early_stopping(old)


def _early_stopping(old: Old) -> None:
    stop, at = old.take("train.early_stop_paras", {}, dict), "train.early_stop_paras"
    if not old.take("train.use_early_stop", bool(stop)):
        old.put("train.keep", "last", "train.use_early_stop", at)
        return
    for key, value in stop.items():
        where = f"{at}.{key}"
        if key == "restore_best_weights":
            old.put("train.keep", "best" if value else "last", where)
        elif key == "monitor" and str(value) not in WORDS["monitor"]:
            old.remark(
                where, f"{kind(value)} cannot be monitored here, only numbers of the validation events: left out"
            )
        elif key in ("monitor", "mode", "min_delta", "patience"):
            old.put(f"train.early_stopping.{key}", WORDS["monitor"][str(value)] if key == "monitor" else value, where)
        elif value is not None:
            old.remark(where, "is no key of train.early_stopping: left out")
    if not stop:
        old.put("train.early_stopping", {}, "train.use_early_stop")


def _is_left_out(old: Old, section: str) -> bool:
    """Leave out a section that the job does not use, and say so."""
    step = old.take("job.job_type")
    if step in (None, section) or section not in old.values:
        return False
    old.taken |= {key for key in old.names() if key.startswith(f"{section}.")}
    old.remark(section, f"left out: it has no effect where job_type is {step}")
    return True


def _tune(old: Old) -> None:
    if _is_left_out(old, "tune"):
        return
    algorithm = dict(old.take("tune.algo", {}, dict))
    metric = algorithm.pop("metric", None) or old.take("tune.metric")
    algorithm.pop("mode", None)  # whether a metric shall be large is known here
    if metric is not None:
        old.put("tune.metric", WORDS["monitor"].get(str(metric), metric), "tune.algo", "tune.metric")
    if (concurrent := algorithm.pop("max_concurrent", None)) is not None:
        old.put("tune.concurrency", concurrent, "tune.algo")
    options = {"search": algorithm, "scheduler": old.take("tune.scheduler", {}, dict)}
    options["stopper"] = old.take("tune.stopper", {}, dict)
    for name, key in (("search", "algo"), ("scheduler", "scheduler"), ("stopper", "stopper")):
        old.word(f"tune.{key}_class", f"tune.{name}.name", WORDS[name])
        if options[name]:
            old.put(f"tune.{name}.options", options[name], f"tune.{key}")
    old.move("tune.num_samples", "tune.trials")
    old.move("tune.min_limit", "tune.limit")
    old.move("tune.resources_per_trial", "tune.resources")
    for key in old.names():
        section, _, name = key.partition(".")
        if section == "tune" and key not in FORMER:
            old.taken.add(key)
            _spaces(old, old.values["tune"][name], key)


def _spaces(old: Old, value, at: str) -> None:
    """Find the spaces in what is left of the section: they have a kind and its numbers."""
    if not isinstance(value, dict):
        old.remark(at, "is no key that is known: left out")
    elif "spacer" not in value:
        for name, inside in value.items():
            _spaces(old, inside, f"{at}.{name}")
    else:
        name, numbers = at.rpartition(".")[2], value.get("paras")
        numbers = list(numbers.values()) if isinstance(numbers, dict) else numbers
        if name not in WORDS["tuned"] or not isinstance(numbers, list):
            old.remark(at, "left out: write it into tune.space under the key of ours that it is about")
            return
        if str(value["spacer"]) == "choice" and len(numbers) == 1 and isinstance(numbers[0], list):
            numbers = numbers[0]
        old.put(("tune", "space", WORDS["tuned"][name], str(value["spacer"])), numbers, at)


def _apply(old: Old) -> None:
    if _is_left_out(old, "apply"):
        return
    for switch, section in FIGURES.items():
        wanted, settings = old.take(f"apply.{switch}"), f"apply.{switch.replace('book_', 'cfg_')}"
        inside = old.take(settings, {}, dict)
        if wanted is False and section not in ("scores", "significance", "cuts", "fit_inputs"):
            old.put(f"apply.{section}", None, f"apply.{switch}")
        elif wanted:
            old.put(f"apply.{section}", {}, f"apply.{switch}")
            _figure(old, section, settings, inside)
    branches = old.take("apply.fit_df", {}, dict)
    if isinstance(old.new.get("apply", {}).get("fit_inputs"), dict):
        for key, ours in (("branches", "branches"), ("save_dir", "folder")):
            if branches.get(key) is not None:
                old.put(f"apply.fit_inputs.{ours}", branches[key], f"apply.fit_df.{key}")
    every = old.take("apply.epoch_check_interval")
    if old.take("apply.check_model_epoch") and every is not None:
        old.put("train.save_every", every, "apply.epoch_check_interval")
    label = old.take("apply.atlas_label", {}, dict)
    if old.take("apply.plot_atlas_label"):
        _label(old, label)


def _label(old: Old, label: dict) -> None:
    words = {"wip": "Work in progress", "int": "Internal", "final": "", "prelim": "Preliminary"}
    old.put("apply.label.experiment", "ATLAS", "apply.plot_atlas_label")
    status = str(label.get("status", ""))
    simulated = "Simulation " if str(label.get("simulation", "")).lower() == "true" else ""
    old.put("apply.label.status", (simulated + words.get(status, status)).strip(), "apply.atlas_label.status")
    energy = str(label.get("energy", "")).removesuffix("TeV").strip()
    if energy.replace(".", "", 1).isdecimal():
        old.put("apply.label.energy_TeV", float(energy), "apply.atlas_label.energy")
    if label.get("lumi") is not None:
        old.put("apply.luminosity_fb", label["lumi"], "apply.atlas_label.lumi")


def _variable(old: Old, name: str, at: str, inside: dict) -> None:
    """Carry over how one feature is drawn, or with `hist_kwargs_` all of them."""
    for key, value in inside.items():
        if isinstance(value, dict) and key.startswith("hist_kwargs_"):
            _variable(old, name, f"{at}.{key}", value)
        elif name.startswith("hist_kwargs_") and key in ("bins", "density"):
            old.put(f"apply.kinematics.{key}", value, f"{at}.{key}")
        elif key in VARIABLE and not name.startswith("hist_kwargs_"):
            old.put(("apply", "variables", name, VARIABLE[key]), value, f"{at}.{key}")
        elif value is not None:
            old.remark(f"{at}.{key}", "left out")


VARIABLE = {"x_label": "label", "bins": "bins", "range": "range", "log": "log"}
#: What is said of a figure there, and the key of its section here.
DETAILS = {
    "bins": "bins",
    "range": "range",
    "density": "density",
    "log": "log",
    "dnn_cut_list": "cuts",
    "save_ratio_table": "ratio_table",
    "sig_scale": "signal_scale",
}


def _figure(old: Old, section: str, at: str, inside: dict) -> None:
    known = {name for part in section_at(Study, ("apply", section)) for name in part.model_fields}
    for key, value in inside.items():
        if value is None:
            continue
        ours = DETAILS.get(key)
        if section == "kinematics" and isinstance(value, dict):
            _variable(old, key, f"{at}.{key}", value)
        elif section == "significance" and key == "significance_algo":
            old.put("apply.significance.measures", [value], f"{at}.{key}")
        elif section == "scores" and key == "log":
            old.put("apply.scores.axis", ["log" if value else "linear"], f"{at}.{key}")
        elif ours in known:
            old.put(f"apply.{section}.{ours}", value, f"{at}.{key}")
        else:
            note = FORMER.get(f"apply.{key}")
            reason = "" if note is None else f": see {note.new}" if note.new else f": {note.note}"
            old.remark(f"{at}.{key}", f"left out{reason}")
