"""Files of the older framework become studies; nothing of them is lost without a word."""

import re

import pytest

from coursekit.study.former import FORMER
from coursekit.study.migration import migrate
from coursekit.study.reading import StudyError, read_study
from coursekit.study.settings import Study
from coursekit.study.settings.base import keys

INPUT = """\
input:
    input_path: "data/events.feather"
    reshape_input: true
    negative_weight_process: "to_zero"
    sig_key: "all"
    bkg_key: "all_norm"
    sig_sumofweight: 1000
    bkg_sumofweight: 2000
    sig_list: [signal]
    bkg_list: ["ww", "top"]
    custom_sample_scale: {top: 1.2}
    selected_features: [pt, mll]
    validation_features: [njet]
    cut_expression: "pt > 20 and mll < 100"
    test_rate: 0.2
"""
TRAIN = """\
config:
    include: ["share/input.yaml"]
job:
    job_name: "example"
    job_type: "train"
    save_dir: "run"
    rdm_seed: 91
train:
    layers: 3
    nodes: 64
    momentum: 0.5
    nesterov: true
    test_rate: .3
    val_split: .25
    use_raw_weight: true
    learn_rate: 0.1
    learn_rate_decay: 1e-5
    epochs: 20
    sig_class_weight: 2.
    use_early_stop: true
    early_stop_paras: {monitor: val_loss, min_delta: 0, patience: 4, mode: min, restore_best_weights: true}
    verbose: 1
    strange: 3
"""


@pytest.fixture
def old(tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "input.yaml").write_text(INPUT, encoding="utf-8")
    (folder / "train.yaml").write_text(TRAIN, encoding="utf-8")
    return folder / "train.yaml"


def migrated(path, text=None):
    """The study that comes of an old file, and the remarks without the folder."""
    if text is not None:
        path.write_text(text, encoding="utf-8")
    text, remarks = migrate(path)
    new = path.parent / "new.yaml"
    new.write_text(text, encoding="utf-8")
    return read_study(new), [remark.replace(f"{path.parent}/", "") for remark in remarks]


def test_an_old_file_with_what_it_includes_becomes_one_study(old):
    resolved, remarks = migrated(old)
    study = resolved.study
    assert (study.job.name, study.job.steps, study.job.seed, study.job.folder) == ("example", ("train",), 91, "run")
    assert list(study.input.signals) == ["signal"]
    assert study.input.backgrounds["top"].scale == 1.2
    assert study.input.backgrounds["ww"].files == (str(old.parent / "data/ww.feather"),)
    assert study.input.features == ("pt", "mll")
    assert study.input.spectators == ("njet",)
    assert study.input.negative_weights == "zero"
    assert (study.input.targets["signal"].sum, study.input.targets["background"].of) == (1000, "each")
    assert study.input.split.fractions == pytest.approx((0.6, 0.2, 0.2))  # by input.test_rate: the other one is dead
    train = study.train
    assert train.options == {"hidden": [64, 64, 64]}
    assert (train.optimiser.name, train.optimiser.learning_rate, train.optimiser.decay) == ("sgd", 0.1, 1e-5)
    assert (train.optimiser.momentum, train.optimiser.nesterov, train.epochs) == (0.5, True, 20)
    assert (train.early_stopping.monitor, train.early_stopping.patience, train.keep) == ("loss", 4, "best")
    assert train.class_weights == {"signal": 2.0}
    dead = "it has no effect there, where nothing reads it"
    assert any(
        re.match(r"train.yaml:13: train.test_rate: left out; see input.split.fractions", line) for line in remarks
    )
    assert any(line.startswith(f"train.yaml:15: train.use_raw_weight: left out: {dead}") for line in remarks)
    assert "train.yaml:23: train.strange: is no key that is known: left out" in remarks
    assert any("split data/events.feather by its column sample_name" in line for line in remarks)
    assert not any(line.startswith("still to do") for line in remarks)


def test_every_key_is_carried_over_or_remarked(old):
    text, _ = migrate(old)
    for number, line in enumerate(TRAIN.splitlines()[3:], start=4):
        if line.startswith("    ") and not line.strip().startswith(("nodes", "val_split", "use_early_stop")):
            assert f"train.yaml:{number}" in text, line


def test_folds_searches_and_figures_are_carried_over(old):
    text = TRAIN.replace('"train"', '"tune"') + (
        "tune:\n  algo_class: HyperOptSearch\n  algo: {metric: val_auc, mode: max, max_concurrent: 3}\n"
        "  scheduler_class: ASHAScheduler\n  scheduler: {grace_period: 2}\n  num_samples: 7\n  min_limit: 0.6\n"
        "  model:\n    learn_rate: {spacer: loguniform, paras: [0.001, 0.1]}\n"
        "    nodes: {spacer: randint, paras: [1, 4]}\n"
    )
    resolved, remarks = migrated(old, text)
    tune = resolved.study.tune
    assert (tune.trials, tune.metric, tune.concurrency, tune.limit) == (7, "auc", 3, 0.6)
    assert (tune.search.name, tune.scheduler.name) == ("hyperopt", "asha")
    assert tune.space["train.optimiser.learning_rate"].loguniform == (0.001, 0.1)
    assert any(
        re.match(r"train.yaml:\d+: tune.model.nodes: left out: write it into tune.space", line) for line in remarks
    )


def test_figures_of_an_application_are_carried_over(old):
    text = TRAIN.replace('"train"', '"apply"\n    train_job_name: example').replace("test_rate: .3", "k_folds: 5") + (
        "apply:\n  plot_atlas_label: true\n  atlas_label: {status: wip, energy: 13 TeV, lumi: 139}\n  book_roc: false\n"
        "  book_kine: true\n  cfg_kine: {bins: 25, mll: {x_label: m, hist_kwargs_sig: {range: [0, 200]}}}\n"
        "  book_significance_scan: true\n  cfg_significance_scan: {significance_algo: s_sqrt_sb_rel}\n"
        "  book_cut_kine_study: true\n  cfg_cut_kine_study: {dnn_cut_list: [0.5], save_ratio_table: true, alpha: 0.3}\n"
        "  book_fit_inputs: true\n  fit_df: {branches: [mll], save_dir: fits}\n"
    )
    resolved, remarks = migrated(old, text)
    apply = resolved.study.apply
    assert resolved.study.train.folds == 5
    assert (apply.label.status, apply.label.energy_TeV, apply.luminosity_fb) == ("Work in progress", 13, 139)
    assert apply.performance is None
    assert apply.kinematics.bins == 25
    assert (apply.variables["mll"].label, apply.variables["mll"].range) == ("m", (0, 200))
    assert apply.significance.measures == ("s_sqrt_sb_rel",)
    assert (apply.cuts.cuts, apply.cuts.ratio_table) == ((0.5,), True)
    assert (apply.fit_inputs.branches, apply.fit_inputs.folder) == (("mll",), "fits")
    assert any(re.match(r"train.yaml:\d+: job.train_job_name: job.trained is a run folder", line) for line in remarks)
    assert any("alpha: left out: figures have one style" in line for line in remarks)


def test_what_a_study_still_lacks_is_a_remark(old):
    _, remarks = migrate(old)
    assert not any(remark.startswith("still") for remark in remarks)
    old.write_text(TRAIN.replace('"example"', "[1]").replace("epochs: 20", "epochs: -1"), encoding="utf-8")
    text, remarks = migrate(old)
    found = [remark for remark in remarks if remark.startswith("still to do")]
    assert any("train.epochs: expected a number of at least 1, got -1" in remark for remark in found)
    (old.parent / "new.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError):
        read_study(old.parent / "new.yaml")


def test_errors_name_the_file(old):
    old.write_text(TRAIN.replace("share/input", "share/nope"), encoding="utf-8")
    with pytest.raises(
        StudyError, match=r"train\.yaml:2: config\.include: share/nope\.yaml is neither in .* nor in a folder"
    ):
        migrate(old)
    old.write_text("config: {include: [share/train.yaml]}\n", encoding="utf-8")
    with pytest.raises(StudyError, match="includes itself"):
        migrate(old)
    old.write_text("job: {name: new}\n", encoding="utf-8")
    with pytest.raises(StudyError, match="has no key of the older framework"):
        migrate(old)


def test_an_old_file_read_as_a_study_says_what_each_key_is_called(old):
    old.write_text(TRAIN.split("job:")[1].join(["job:", INPUT]), encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        read_study(old)
    lines = [line.rpartition("yaml:")[2] for line in caught.value.lines]
    assert "2: job.job_name: is called job.name here (`coursekit study migrate` rewrites files with such keys)" in lines
    assert sum("coursekit study migrate" in line for line in lines) > 25


def test_every_new_name_is_a_key():
    there = {key for key, _ in keys(Study)}
    assert {former.new for former in FORMER.values() if former.new} <= there
    assert all(former.note for former in FORMER.values() if not former.new)
