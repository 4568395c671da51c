"""What keys are called in files of an older framework with the same sections, and what became of them."""

from typing import NamedTuple


class Former(NamedTuple):
    """A key there.

    Attributes
    ----------
    new : str
        What ours is called, with ``*`` for a name; empty if there is none.
    note : str
        What else is to be known: always said if there is no key of ours.
    """

    new: str
    note: str = ""


_DEAD = "it has no effect there, where nothing reads it"
FORMER = {
    "config.include": Former("config.include", "names are relative to the file that includes, not to the command"),
    "config.best_tune_overwrite": Former("config.best_of", "the run folder of the search"),
    "job.job_name": Former("job.name"),
    "job.job_type": Former("job.steps"),
    "job.save_dir": Former("job.folder"),
    "job.fix_rdm_seed": Former("job.seed", "the seed is always fixed"),
    "job.rdm_seed": Former("job.seed"),
    "job.date_str": Former("", "run folders are dated and numbered by themselves"),
    "job.fix_date_str": Former("", "run folders are dated and numbered by themselves"),
    "job.tune_job_name": Former("config.best_of", "the run folder of the search"),
    "job.train_job_name": Former("job.trained", "the run folder of the training"),
    "job.load_job_name": Former("job.trained", "the run folder of the training"),
    "input.input_path": Former("input.signals.*.files", "each sample names its files"),
    "input.sig_list": Former("input.signals"),
    "input.bkg_list": Former("input.backgrounds"),
    "input.data_list": Former("input.data"),
    "input.sig_key": Former("input.targets.*.of", "together for all, each for all_norm, or a sample"),
    "input.bkg_key": Former("input.targets.*.of", "together for all, each for all_norm, or a sample"),
    "input.sig_sumofweight": Former("input.targets.*.sum"),
    "input.bkg_sumofweight": Former("input.targets.*.sum"),
    "input.data_sumofweight": Former("", "an event of data counts once"),
    "input.selected_features": Former("input.features"),
    "input.validation_features": Former("input.spectators"),
    "input.feature_norm_alias": Former("", "each feature is scaled with its own mean and standard deviation"),
    "input.norm_array": Former("input.scale"),
    "input.reshape_input": Former("input.scale"),
    "input.reweight_input": Former("input.targets"),
    "input.cut_expression": Former("input.cut"),
    "input.reset_feature": Former("input.reset"),
    "input.reset_feature_name": Former("input.reset"),
    "input.reset_feature_overwrite": Former("input.reset.*.evaluation"),
    "input.reset_feature_overwrite_value": Former("input.reset.*.evaluation"),
    "input.rm_negative_weight_events": Former("input.negative_weights"),
    "input.negative_weight_process": Former("input.negative_weights"),
    "input.custom_sample_scale": Former("input.signals.*.scale"),
    "input.test_rate": Former("input.split.fractions"),
    "train.model_name": Former("job.name", "networks lie in the run folder"),
    "train.model_class": Former("train.network"),
    "train.layers": Former("train.options", "as `hidden`, the widths of all layers"),
    "train.nodes": Former("train.options", "as `hidden`, the widths of all layers"),
    "train.dropout_rate": Former("train.options", "as `dropout`"),
    "train.momentum": Former("train.optimiser.momentum"),
    "train.nesterov": Former("train.optimiser.nesterov"),
    "train.learn_rate": Former("train.optimiser.learning_rate"),
    "train.learn_rate_decay": Former("train.optimiser.decay"),
    "train.batch_size": Former("train.batch_size"),
    "train.epochs": Former("train.epochs"),
    "train.test_rate": Former("input.split.fractions", f"{_DEAD}: the split comes from input.test_rate"),
    "train.val_split": Former("input.split.fractions"),
    "train.k_folds": Former("train.folds"),
    "train.train_metrics": Former("", "loss, accuracy and AUC of each epoch are always kept"),
    "train.train_metrics_weighted": Former("", "loss, accuracy and AUC of each epoch are always kept, weighted"),
    "train.use_early_stop": Former("train.early_stopping"),
    "train.early_stop_paras": Former("train.early_stopping"),
    "train.save_model": Former("", "a trained network always lies in the run folder"),
    "train.verbose": Former("", "an option of the command: --verbose"),
    "train.use_raw_weight": Former("", f"{_DEAD}; figures show events with the weights of the simulation"),
    "train.sig_class_weight": Former("train.class_weights"),
    "train.bkg_class_weight": Former("train.class_weights"),
    "train.class_weight": Former("train.class_weights"),
    "tune.scheduler_class": Former("tune.scheduler.name"),
    "tune.scheduler": Former("tune.scheduler.options"),
    "tune.algo_class": Former("tune.search.name"),
    "tune.algo": Former("tune.search.options", "metric and max_concurrent are tune.metric and tune.concurrency"),
    "tune.stopper_class": Former("tune.stopper.name"),
    "tune.stopper": Former("tune.stopper.options"),
    "tune.metric": Former("tune.metric"),
    "tune.min_limit": Former("tune.limit"),
    "tune.num_samples": Former("tune.trials"),
    "tune.resources_per_trial": Former("tune.resources"),
    "tune.log_to_file": Former("", "what a trial prints is always kept"),
    "tune.resume": Former("", "an option of the command: --resume"),
    "apply.book_history": Former("apply.histories"),
    "apply.cfg_history": Former("apply.histories"),
    "apply.check_model_epoch": Former("train.save_every"),
    "apply.epoch_check_interval": Former("train.save_every"),
    "apply.book_kine": Former("apply.kinematics"),
    "apply.cfg_kine": Former("apply.kinematics", "what is said for one feature is in apply.variables"),
    "apply.separate_bkg_sig": Former("apply.kinematics.by"),
    "apply.book_cor_matrix": Former("apply.correlations"),
    "apply.cfg_cor_matrix": Former("apply.correlations"),
    "apply.book_roc": Former("apply.performance"),
    "apply.cfg_roc": Former("apply.performance"),
    "apply.book_confusion_matrix": Former("apply.performance.confusion"),
    "apply.book_train_test_compare": Former("apply.train_test"),
    "apply.cfg_train_test_compare": Former("apply.train_test"),
    "apply.book_mva_scores_data_mc": Former("apply.scores"),
    "apply.cfg_mva_scores_data_mc": Former("apply.scores"),
    "apply.book_significance_scan": Former("apply.significance"),
    "apply.cfg_significance_scan": Former("apply.significance"),
    "apply.book_cut_kine_study": Former("apply.cuts"),
    "apply.cfg_cut_kine_study": Former("apply.cuts"),
    "apply.book_importance_study": Former("apply.importance"),
    "apply.cfg_importance_study": Former("apply.importance"),
    "apply.book_fit_inputs": Former("apply.fit_inputs"),
    "apply.fit_df": Former("apply.fit_inputs"),
    "apply.plot_atlas_label": Former("apply.label"),
    "apply.atlas_label": Former("apply.label"),
    "apply.dnn_cut_list": Former("apply.cuts.cuts"),
    "apply.save_ratio_table": Former("apply.cuts.ratio_table"),
    "apply.significance_algo": Former("apply.significance.measures"),
    "apply.apply_data": Former("input.data"),
    "apply.apply_data_range": Former("apply.blind"),
    "apply.sig_scale": Former("apply.scores.signal_scale"),
    "apply.save_format": Former("apply.formats"),
    "apply.histtype": Former("", "figures have one style, which survives print in black and white"),
    "apply.alpha": Former("", "figures have one style, which survives print in black and white"),
    "apply.plot_title": Former("apply.title"),
}


def renamed(key: str) -> str:
    """Say what a key of such a file is called here, or nothing if there is no such key there or it has kept its name.

    Examples
    --------
    >>> renamed("train.learn_rate")
    'is called train.optimiser.learning_rate here'
    >>> renamed("train.save_model")
    'does not exist here: a trained network always lies in the run folder'
    """
    former = FORMER.get(key)
    if former is None or former.new == key:
        return ""
    if not former.new:
        return f"does not exist here: {former.note}"
    return f"is called {former.new} here" + (f"; {former.note}" if former.note else "")
