"""A binned template as a statistical model of pyhf: what it is made of, and what it is expected to say."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.stats import norm

from coursekit.study.report.counts import Counts

LEVEL = 0.05  # of CLs: limits hold with 95% confidence
BANDS = (-2, -1, 0, 1, 2)  # standard deviations


class Component(NamedTuple):
    """One sample of a template.

    Attributes
    ----------
    counts : Counts
        Expected events in each bin.
    is_signal : bool
    uncertainty : float
        Of its normalisation, relative; 0: none.
    source : str
        Components of one source move together.
    """

    counts: Counts
    is_signal: bool
    uncertainty: float
    source: str


class Expectation(NamedTuple):
    """What a template is expected to say.

    Attributes
    ----------
    limits : dict of int to float
        Upper limits on the signal strength without signal: the median, 0, and one and two standard deviations away.
    significance : float
        Of the discovery with the signal as simulated: the median.
    """

    limits: dict[int, float]
    significance: float


def make_workspace(
    components: Mapping[str, Component], observed: np.ndarray | None = None, luminosity_uncertainty: float = 0.0
) -> dict:
    """Return a template as the JSON of pyhf, known to fulfil its schema.

    One channel, ``score``; the signal strength ``mu`` multiplies all signals. Statistical errors of the simulation are
    one parameter a bin for all backgrounds, and one for all signals: a strong signal would hide those of the background
    otherwise. Normalisations are log-normal, and the luminosity moves everything.

    Parameters
    ----------
    components : mapping of str to Component
    observed : (B,) array, optional
        Events seen; by default the background that is expected, so that no data are looked at.
    luminosity_uncertainty : float
        Relative.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        There is no signal, or no background.
    """
    kinds = {one.is_signal for one in components.values()}
    if kinds != {True, False}:
        missing = "signal" if True not in kinds else "background"
        raise ValueError(f"a template needs signal and background, and there are no samples of {missing}")
    background = sum(one.counts.value for one in components.values() if not one.is_signal)
    samples = [_sample(name, one, luminosity_uncertainty) for name, one in components.items()]
    parameters = [{"name": "mu", "inits": [1.0], "bounds": [[0.0, float(_far(components))]]}]
    if luminosity_uncertainty:
        u = luminosity_uncertainty
        parameters.append({"name": "lumi", "auxdata": [1.0], "sigmas": [u], "inits": [1.0],
                           "bounds": [[max(1 - 5 * u, 1e-3), 1 + 5 * u]]})  # fmt: skip
    seen = background if observed is None else observed
    workspace = {
        "channels": [{"name": "score", "samples": samples}],
        "observations": [{"name": "score", "data": np.asarray(seen, np.float64).tolist()}],
        "measurements": [{"name": "signal_strength", "config": {"poi": "mu", "parameters": parameters}}],
        "version": "1.0.0",
    }
    with _pyhf() as pyhf:
        pyhf.schema.validate(workspace, "workspace.json", version="1.0.0")
    return workspace


def _sample(name: str, one: Component, luminosity_uncertainty: float) -> dict:
    modifiers = [{"name": "mu", "type": "normfactor", "data": None}] if one.is_signal else []
    if luminosity_uncertainty:
        modifiers.append({"name": "lumi", "type": "lumi", "data": None})
    if one.uncertainty:
        factors = {"hi": 1 + one.uncertainty, "lo": 1 / (1 + one.uncertainty)}
        modifiers.append({"name": f"norm_{one.source}", "type": "normsys", "data": factors})
    kind = "signal" if one.is_signal else "background"
    modifiers.append({"name": f"simulation_{kind}", "type": "staterror", "data": one.counts.error.tolist()})
    return {"name": name, "data": one.counts.value.tolist(), "modifiers": modifiers}


def _spread(components: Mapping[str, Component]) -> float:
    """Return about how well the signal strength is known: what counting and the simulation's errors leave."""
    signal, background = (sum(one.counts.value for one in components.values() if one.is_signal is kind)
                          for kind in (True, False))  # fmt: skip
    variance = background + sum(one.counts.variance for one in components.values() if not one.is_signal)
    variance = variance + sum(
        (one.counts.value * one.uncertainty) ** 2 for one in components.values() if not one.is_signal
    )
    return float(1 / np.sqrt((signal**2 / variance).sum()))


def _far(components: Mapping[str, Component]) -> float:
    """Return a signal strength beyond all limits, in two digits: parameters need bounds."""
    far = max(10.0, 100 * _spread(components))
    digits = -int(np.floor(np.log10(far))) + 1
    return round(far, digits)


def expect(components: Mapping[str, Component], luminosity_uncertainty: float = 0.0) -> Expectation:
    r"""Return the expected upper limits on the signal strength, and the expected significance of a discovery.

    In the limit of many events the expected limits are where

    .. math:: \sqrt{\tilde q_{\mu, A}} = \Phi^{-1}\big(1 - \alpha \Phi(N)\big) + N

    for N standard deviations and :math:`\alpha = 0.05`: there :math:`CL_s = \alpha`. The test statistic is taken from
    fits of pyhf to data that are exactly what is expected without signal, whose best fit is known; the significance is
    :math:`\sqrt{q_{0, A}}`, on data with the signal as simulated.

    Parameters
    ----------
    components : mapping of str to Component
    luminosity_uncertainty : float

    Returns
    -------
    Expectation

    References
    ----------
    G. Cowan, K. Cranmer, E. Gross, O. Vitells, arXiv:1007.1727, eqs. (12), (16) and (88); A. L. Read, J. Phys. G 28
    (2002) 2693; L. Heinrich, M. Feickert, G. Stark, K. Cranmer, pyhf, JOSS 6 (2021) 2823.
    """
    with _pyhf() as pyhf:
        model, _, unit = _scaled_model(pyhf, components, None, luminosity_uncertainty)
        targets = [float(norm.ppf(1 - LEVEL * norm.cdf(n)) + n) for n in BANDS]
        truth = _parameters(model, 0.0)
        data = model.expected_data(truth)
        strengths = _strengths(lambda mu: _root_of_q(pyhf, model, data, truth, [mu])[0], targets[-1])
        roots = _root_of_q(pyhf, model, data, truth, strengths)
        limits = PchipInterpolator([0, *np.maximum.accumulate(roots)], [0, *strengths])(targets) * unit
        truth = _parameters(model, 1 / unit)
        significance = _root_of_q(pyhf, model, model.expected_data(truth), truth, [0.0])[0]
    return Expectation(dict(zip(BANDS, limits.tolist(), strict=True)), significance)


def observe(
    components: Mapping[str, Component], observed: np.ndarray, luminosity_uncertainty: float = 0.0
) -> tuple[float, float]:
    r"""Return the observed upper limit on the signal strength, CLs = 0.05, and the observed significance of the signal.

    With the statistic q of the data and that of data which are what a fit without signal expects, :math:`q_A`, in the
    limit of many events

    .. math:: CL_s = \frac{1 - \Phi(\sqrt q)}{\Phi(\sqrt{q_A} - \sqrt q)} \text{ for } q \leq q_A, \qquad
        CL_s = \frac{1 - \Phi\big((q + q_A) / 2 \sqrt{q_A}\big)}{1 - \Phi\big((q - q_A) / 2 \sqrt{q_A}\big)}
        \text{ else.}

    Parameters
    ----------
    components : mapping of str to Component
    observed : (B,) array
        Events seen.
    luminosity_uncertainty : float

    References
    ----------
    arXiv:1007.1727, eqs. (65) to (68).
    """
    with _pyhf() as pyhf:
        model, data, unit = _scaled_model(pyhf, components, observed, luminosity_uncertainty)
        bounds, fixed = model.config.suggested_bounds(), model.config.suggested_fixed()
        best, lowest = pyhf.infer.mle.fit(
            data, model, _parameters(model, 1 / unit).tolist(), bounds, fixed, return_fitted_val=True
        )
        empty, at_zero = _fixed(pyhf, model, data, 0.0, _parameters(model, 0.0))
        if at_zero < lowest:  # the fit stopped short of the border
            best, lowest = empty, at_zero
        asimov, fitted = model.expected_data(empty), float(best[model.config.poi_index])

        def confidence(strengths) -> np.ndarray:
            q = np.array([_fixed(pyhf, model, data, mu, empty)[1] - lowest for mu in strengths])
            q = np.where(np.asarray(strengths) > fitted, np.maximum(q, 0), 0)
            a = np.maximum(_root_of_q(pyhf, model, asimov, empty, strengths), 1e-9)
            root = np.sqrt(q)
            inside = norm.logsf(root) - norm.logcdf(a - root)
            return np.where(q <= a**2, inside, norm.logsf((q + a**2) / 2 / a) - norm.logsf((q - a**2) / 2 / a))

        strengths = _strengths(lambda mu: -float(confidence([mu])[0]), -np.log(LEVEL))
        falling = np.minimum.accumulate(confidence(strengths))
        limit = float(PchipInterpolator([0, *-falling], [0, *strengths])(-np.log(LEVEL))) * unit
        significance = float(np.sqrt(max(at_zero - lowest, 0))) if fitted > 0 else 0.0
    return limit, significance


def _scaled_model(pyhf, components, observed, luminosity_uncertainty: float) -> tuple:
    """Return pyhf's model and data, and the unit of its signal strength, in which limits are about one."""
    unit = _spread(components)
    scaled = {name: one._replace(counts=one.counts.scaled(unit)) if one.is_signal else one
              for name, one in components.items()}  # fmt: skip
    workspace = make_workspace(scaled, observed, luminosity_uncertainty)
    parameters = workspace["measurements"][0]["config"]["parameters"]
    parameters[0]["bounds"] = [[0.0, max(100.0, 10 / unit)]]
    found = pyhf.Workspace(workspace, validate=False)
    model = found.model(validate=False)
    return model, found.data(model), unit


def _parameters(model, strength: float) -> np.ndarray:
    parameters = np.array(model.config.suggested_init(), np.float64)
    parameters[model.config.poi_index] = strength
    return parameters


def _fixed(pyhf, model, data, mu: float, start: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit everything but the signal strength; return the parameters and -2 ln L."""
    start = np.clip(start, *np.transpose(model.config.suggested_bounds()))
    bounds, fixed = model.config.suggested_bounds(), model.config.suggested_fixed()
    found, value = pyhf.infer.mle.fixed_poi_fit(
        float(mu), data, model, start.tolist(), bounds, fixed, return_fitted_val=True
    )
    return np.asarray(found), float(value)


def _root_of_q(pyhf, model, data, truth: np.ndarray, strengths) -> list[float]:
    """Return the root of the test statistic at each strength, for data that are what `truth` expects: the best fit."""
    lowest = float(pyhf.infer.mle.twice_nll(truth, data, model)[0])
    roots, start = [], truth
    for mu in strengths:
        start, value = _fixed(pyhf, model, data, mu, start)
        roots.append(float(np.sqrt(max(value - lowest, 0.0))))
    return roots


def _strengths(rising: Callable[[float], float], target: float) -> np.ndarray:
    """Return eight signal strengths, the last beyond where a function that rises reaches the target."""
    high = 4.0
    while rising(high) < target:
        high *= 1.5
        if high > 90:
            raise ValueError(
                "the upper limit lies beyond 90 times what counting alone would give: an uncertainty is too large for "
                "a limit. Look at apply.template.uncertainties, and at the statistical error of each bin"
            )
    return np.linspace(high / 8, high, 8)


@contextlib.contextmanager
def _pyhf() -> Iterator:
    """Import pyhf with NumPy behind it, and keep what it says of its own equipment to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import pyhf
        except ImportError as error:
            raise ImportError('a template needs pyhf: pip install "coursekit[studies]"') from error
        logger = logging.getLogger("pyhf")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            pyhf.set_backend("numpy")
            with np.errstate(all="ignore"):
                yield pyhf
        finally:
            logger.setLevel(level)
