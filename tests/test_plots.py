"""What the pictures hold: the numbers that went in, where they belong, and nothing else."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from coursekit.metrics import roc_curve
from coursekit.plots import plot_circles, plot_clustering, plot_history, plot_particles, plot_roc


@pytest.fixture
def ax():
    drawn, ax = plt.subplots()
    yield ax
    plt.close(drawn)


def test_particles_stand_where_they_are_with_areas_in_proportion_to_pt(ax):
    eta, phi, pt = np.array([0.5, -1.0]), np.array([3.0, -2.0]), np.array([100.0, 25.0])
    assert plot_particles(ax, eta, phi, pt, "two photons", marker="s") is ax
    points, sample = ax.collections
    np.testing.assert_array_equal(points.get_offsets(), np.stack([eta, phi], axis=1))
    assert points.get_sizes()[0] == 4 * points.get_sizes()[1]
    assert sample.get_sizes()[0] > 20  # readable in the legend ...
    assert len(sample.get_offsets()) == 0  # ... and absent from the plot
    assert ax.get_legend_handles_labels()[1] == ["two photons"]
    assert pt.tolist() == [100.0, 25.0]


def test_the_plane_shows_every_azimuth_and_leaves_circles_round(ax):
    plot_particles(ax, [], [], [], "none")
    assert ax.get_ylim() == (-np.pi, np.pi)
    assert ax.get_aspect() == 1.0
    assert "η" in ax.get_xlabel()
    assert "rad" in ax.get_ylabel()


def test_a_circle_at_the_edge_comes_in_again_on_the_other_side(ax):
    assert plot_circles(ax, [0.5, 2.0], [3.0, 0.0], 0.8, linestyle="--", label="jets") is ax
    centres = np.array([circle.center for circle in ax.patches])
    assert np.allclose(sorted(centres[:3, 1]), [3.0 - 2 * np.pi, 3.0, 3.0 + 2 * np.pi])
    assert any(abs(phi + 2.6) < 0.8 for phi in centres[:3, 1])  # -2.6 is 0.68 from 3.0, over the edge
    assert {circle.radius for circle in ax.patches} == {0.8}
    assert ax.get_legend_handles_labels()[1] == ["jets"]


def test_a_clustering_history_joins_both_lines_at_the_sum(ax):
    # particles 0 and 2 make object 3, which joins particle 1 to object 4
    x, pt = np.array([0.0, 1.0, 0.4, 0.1, 0.3]), np.array([9.0, 4.0, 1.0, 10.0, 14.0])
    assert plot_clustering(ax, x, pt, [(0, 2), (3, 1)]) is ax
    drawn = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in ax.lines]
    assert drawn == [
        ([0.0, 0.0, 0.1], [0, 1, 1]),
        ([0.4, 0.4, 0.1], [0, 1, 1]),
        ([0.1, 0.1, 0.3], [1, 2, 2]),
        ([1.0, 1.0, 0.3], [0, 2, 2]),
    ]
    widths = [line.get_linewidth() for line in ax.lines]
    assert widths[2] > widths[0] > widths[3] > widths[1]


def test_a_jet_of_one_particle_has_no_history(ax):
    plot_clustering(ax, [0.2], [50.0], [])
    assert not ax.lines


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
