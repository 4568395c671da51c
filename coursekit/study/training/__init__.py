"""Training: one network of a study, its scores for all events, and what is kept of it."""

from coursekit.study.training.loading import apply_network, epoch_scores, load_model, load_network
from coursekit.study.training.one import train_one
from coursekit.study.training.together import combine, summary

__all__ = ["apply_network", "combine", "epoch_scores", "load_model", "load_network", "summary", "train_one"]
