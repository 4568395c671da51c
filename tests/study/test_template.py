"""Templates: bins that can be fitted, limits by hand and by pyhf, what is written."""

import itertools
import json
import warnings

import numpy as np
import pytest
from scipy.stats import norm

from coursekit.metrics import asimov_significance
from coursekit.study.report.counts import Counts
from coursekit.study.report.inference import Component, _strengths, expect, make_workspace, observe
from coursekit.study.report.page import Page
from coursekit.study.report.template import add_template, merge


def counts(value, error=None):
    value = np.array(value, np.float64)
    return Counts(value, (np.sqrt(np.abs(value)) if error is None else np.array(error)) ** 2, value.astype(np.int64))


def components(signal, background, signal_error=0.0, background_error=0.0, uncertainty=0.0):
    errors = [np.broadcast_to(error, np.shape(signal)) for error in (signal_error, background_error)]
    return {
        "higgs": Component(counts(signal, errors[0]), True, 0.0, "higgs"),
        "zjets": Component(counts(background, errors[1]), False, uncertainty, "zjets"),
    }


@pytest.fixture(scope="module")
def pyhf():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyhf

        yield pyhf


def test_one_bin_of_many_events_is_the_normal_law():
    found = expect(components([10.0], [1e6]))
    for n, limit in found.limits.items():  # sigma = sqrt(b) / s
        assert limit == pytest.approx(100 * (norm.ppf(1 - 0.05 * norm.cdf(n)) + n), rel=3e-3)
    assert found.limits[0] == pytest.approx(196, rel=3e-3)


@pytest.mark.parametrize(("s", "b"), [(10.0, 100.0), (300.0, 100.0), (3.0, 1.0)])
def test_one_bin_is_discovered_as_asimov_says(s, b):
    assert expect(components([s], [b])).significance == pytest.approx(asimov_significance(s, b), rel=1e-4)


def test_bins_that_are_alike_are_one_bin_and_uncertainties_make_limits_worse():
    one = expect(components([10.0], [100.0])).limits[0]
    assert expect(components([5.0, 5.0], [50.0, 50.0])).limits[0] == pytest.approx(one, rel=1e-3)
    for worse in ({"background_error": [20.0]}, {"uncertainty": 0.3}):
        assert expect(components([10.0], [100.0], **worse)).limits[0] > 1.3 * one
    assert expect(components([10.0], [100.0]), luminosity_uncertainty=0.2).limits[0] > 1.3 * one


def test_a_signal_twice_as_large_has_half_the_limit():
    bins = {"background": [100.0, 20.0], "background_error": [5.0, 3.0], "uncertainty": 0.1}
    one, two = (expect(components(np.array([2.0, 6.0]) * factor, **bins)).limits[0] for factor in (1, 2))
    assert two == pytest.approx(one / 2, rel=1e-3)


def test_limits_are_those_of_pyhf(pyhf):
    parts = components([5.0, 10.0], [50.0, 20.0], [0.5, 1.0], [3.0, 2.0], 0.1)
    observed = np.array([58.0, 24.0])
    found, (limit, significance) = expect(parts, 0.02), observe(parts, observed, 0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workspace = pyhf.Workspace(make_workspace(parts, observed, 0.02))
        model = workspace.model()
        data = workspace.data(model)
        asimov = model.expected_data([0.0 if i == model.config.poi_index else x
                                      for i, x in enumerate(model.config.suggested_init())])  # fmt: skip
        for n, at in found.limits.items():
            _, bands = pyhf.infer.hypotest(at, asimov, model, return_expected_set=True)
            assert float(bands[2 + n]) == pytest.approx(0.05, rel=2e-3)
        assert float(pyhf.infer.hypotest(limit, data, model)) == pytest.approx(0.05, rel=5e-3)
        p = float(pyhf.infer.hypotest(0.0, data, model, test_stat="q0"))
    assert significance == pytest.approx(norm.isf(p), rel=1e-3)


def test_a_deficit_has_no_significance_and_a_limit_below_the_median():
    parts = components([10.0], [100.0], background_error=[5.0])
    limit, significance = observe(parts, np.array([80.0]))
    assert significance == 0
    assert limit < expect(parts).limits[0]


def test_an_uncertainty_beyond_all_limits_is_refused():
    with pytest.raises(ValueError, match="an uncertainty is too large for a limit"):
        _strengths(lambda mu: 1 - 1 / (1 + mu), 1.0)


def test_bins_are_merged_until_each_can_be_fitted():
    background = counts([100.0, 50.0, 20.0, 4.0, 9.0, 1.0])
    assert merge([background], [True], 10.0).tolist() == [0, 1, 2, 4, 6]
    negative = counts([5.0, -3.0, 2.0, 5.0], [1.0, 1.0, 1.0, 1.0])
    kept = merge([counts([50.0, 50, 50, 50]), negative], [True, False], 10.0)
    for low, high in itertools.pairwise(kept):
        assert negative.value[low:high].sum() >= 0
    with pytest.raises(ValueError, match="too few simulated events for a single bin"):
        merge([counts([2.0, 3.0])], [True], 10.0)


def test_what_is_written_is_a_workspace_without_data(toy, toy_dataset, toy_outcome, tmp_path, pyhf):
    page = Page(tmp_path, "toy")
    page.section("template")
    settings = {"bins": 3, "minimum_events": 5, "uncertainties": {"qcd": 0.2}, "luminosity_uncertainty": 0.02}
    found = add_template(page, toy(apply={"template": settings}), toy_dataset, toy_outcome)
    workspace = json.loads((tmp_path / "template.json").read_text(encoding="utf-8"))
    samples = {sample["name"]: sample for sample in workspace["channels"][0]["samples"]}
    background = np.sum([samples[name]["data"] for name in ("qcd", "zjets")], axis=0)
    assert workspace["observations"][0]["data"] == pytest.approx(background)
    kinds = {(modifier["name"], modifier["type"]) for modifier in samples["qcd"]["modifiers"]}
    assert kinds == {("lumi", "lumi"), ("norm_qcd", "normsys"), ("simulation_background", "staterror")}
    limits = found["expected_limit"]
    assert limits["-2"] < limits["-1"] < limits["0"] < limits["+1"] < limits["+2"]
    assert "observed_limit" not in found
    assert (tmp_path / "figures" / "template.png").is_file()


def test_data_are_fitted_where_they_are_asked_for(toy, toy_dataset, toy_outcome, tmp_path):
    page = Page(tmp_path, "toy")
    page.section("template")
    settings = {"bins": [0.0, 0.5, 1.0], "minimum_events": 5, "unblind": True}
    found = add_template(page, toy(apply={"template": settings}), toy_dataset, toy_outcome)
    workspace = json.loads((tmp_path / "template.json").read_text(encoding="utf-8"))
    assert sum(workspace["observations"][0]["data"]) == 150
    assert found["observed_limit"] > 0


def test_edges_that_cannot_be_fitted_are_refused(toy, toy_dataset, toy_outcome, tmp_path):
    page = Page(tmp_path, "toy")
    page.section("template")
    study = toy(apply={"template": {"bins": [0, 0.5, 0.999, 1.0]}})
    with pytest.raises(ValueError, match=r"apply.template.bins: in the bin from .* Give wider bins"):
        add_template(page, study, toy_dataset, toy_outcome)
