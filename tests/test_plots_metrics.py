"""Curves of metrics and trainings: what is drawn is what was computed, and nothing else."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from coursekit.metrics import roc_curve
from coursekit.plots import plot_history, plot_roc


@pytest.fixture
def ax():
    drawn, ax = plt.subplots()
    yield ax
    plt.close(drawn)


def test_roc_draws_rejection_and_leaves_out_points_without_background(ax):
    labels, score = np.array([0, 0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.9])
    roc = roc_curve(labels, score)
    assert plot_roc(ax, {"one": roc, "other": roc}) is ax
    assert [line.get_label() for line in ax.lines] == ["one", "other"]
    x, y = ax.lines[0].get_data()
    some = roc.background_efficiency > 0
    np.testing.assert_array_equal(x, roc.signal_efficiency[some])
    np.testing.assert_array_equal(y, 1 / roc.background_efficiency[some])
    assert ax.get_yscale() == "log"
    assert len(ax.collections) == 2
    for band in ax.collections:  # finite, although one event can fluctuate to none
        assert np.isfinite(band.get_paths()[0].vertices).all()


def test_roc_accepts_a_generator_with_negative_weights(ax):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 500)
    roc = roc_curve(labels, rng.normal(labels), np.where(rng.random(500) < 0.1, -1.0, 1.0))
    plot_roc(ax, {"negative": roc})
    assert (ax.lines[0].get_ydata() > 0).all()


def test_history_counts_epochs_from_one_and_draws_what_is_there(ax):
    assert plot_history(ax, {"loss": [0.7, 0.5, 0.4], "val_loss": [0.6, 0.5, 0.5], "auc": [0.1, 0.2, 0.3]}) is ax
    assert [line.get_label() for line in ax.lines] == ["training", "validation"]
    assert list(ax.lines[0].get_xdata()) == [1, 2, 3]
    plot_history(ax, {"auc": [0.1, 0.2]}, "auc")
    assert [line.get_label() for line in ax.lines[2:]] == ["training"]
    assert ax.get_ylabel() == "auc"


def test_history_without_the_quantity_says_what_it_has(ax):
    with pytest.raises(KeyError, match="it has loss, val_loss"):
        plot_history(ax, {"loss": [1.0], "val_loss": [1.0]}, "accuracy")
