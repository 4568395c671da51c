"""Strategies: arrays as odd as files and simulations make them; and what may be refused."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

#: All that a float64 can hold but NaN and infinities: subnormal, 1.8e308, -0.0 among them.
FINITE = st.floats(allow_nan=False, allow_infinity=False)
#: Numbers of which many are equal, and some next to each other.
TIED = st.sampled_from([0.0, -0.0, 0.1, 0.3, np.nextafter(0.3, 1), 1.0, 5e-324, -1e308, 1e308])
#: Sizes that weights and momenta have.
USUAL = st.floats(1e-6, 1e6)


def floats(n, elements=FINITE):
    """(n,) float64."""
    return hnp.arrays(np.float64, n, elements=elements, fill=st.nothing())


@st.composite
def labels_of_both(draw, n):
    """(n,) zeros and ones, at least one of each."""
    labels = draw(hnp.arrays(np.int64, n, elements=st.integers(0, 1), fill=st.nothing()))
    first, second = draw(st.permutations(range(n)))[:2]
    labels[first], labels[second] = 0, 1
    return labels


@st.composite
def scored(draw, weights=None, max_size=20):
    """Labels, scores and weights of the same events; weights None if not asked for."""
    n = draw(st.integers(2, max_size))
    score = draw(floats(n, draw(st.sampled_from([FINITE, TIED]))))
    return draw(labels_of_both(n)), score, None if weights is None else draw(floats(n, weights))


def refused(function, *arguments, **options):
    """The result, or None if a ValueError of one line came in its place."""
    try:
        return function(*arguments, **options)
    except ValueError as error:
        message = str(error)
    assert len(message.splitlines()) == 1, message
    return None
