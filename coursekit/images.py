"""Jets as pictures: a whole sample at once on a grid, as a detector sees them, or in a standard position.

Images are float32 arrays of N pictures, H rows and W columns: **rows are phi, columns are eta**, both rising with the
index, so that ``imshow(image, origin="lower")`` shows eta to the right and phi upwards. Pictures for a network have the
channels last, (N, H, W, C).

`pixelate` takes packed arrays, one number per constituent (T,) and the `counts` (N,) of each jet, in any position, for
instance of `coursekit.jets.position`; `standardised_images` and `study_images` make pictures of jagged jets.
"""

from collections.abc import Iterator, Sequence

import awkward as ak
import numpy as np

from coursekit.jets.arrays import jet_numbers, pack, require_jagged, require_packed, sum_by_jet
from coursekit.jets.position import DECIMALS, centred, flipped, rotated

CHANNELS = ("pt", "multiplicity")
TOWER_ETA, TOWER_PHI = 0.12, np.pi / 18  # of the study's detector: 36 towers round the beam
WINDOW = 2.4  # what the study cuts out round the axis: 20 towers in eta, 13 or 14 in phi
STUDY_SHAPE = (16, 22)  # with a margin of at least one tower on each side

_BUFFER = 2**18  # pixels that are filled at once: 2 MB in float64, which the cache holds
_BLOCK = 2048  # jets whose constituents are in hand at once, some 10 MB


# --- from constituents to pixels --------------------------------------------------------------------------------------


def pixelate(
    eta: np.ndarray,
    phi: np.ndarray,
    weights: np.ndarray,
    counts: np.ndarray,
    eta_edges: np.ndarray,
    phi_edges: np.ndarray,
) -> np.ndarray:
    """Sum the weights of each jet's constituents in the pixels of a grid.

    For each jet this is ``np.histogram2d(phi, eta, (phi_edges, eta_edges), weights=weights)[0]``: a pixel holds its
    lower edges, the last row and column hold both, and what is outside the grid is dropped. All jets are filled
    together, some thousands at a time, so that beside the result only a few MB are needed. Nothing is wrapped: the phi
    of `centred` is already relative to the jet.

    Parameters
    ----------
    eta, phi : (T,) float
        Where the constituents are; radians.
    weights : (T,) float
        What is summed, for instance pT in GeV.
    counts : (N,) int
        Constituents of each jet; a jet without any gives an empty image.
    eta_edges : (W + 1,) float
    phi_edges : (H + 1,) float
        Edges of the pixels, rising.

    Returns
    -------
    (N, H, W) float32
        Rows are phi, columns eta.

    Raises
    ------
    ValueError
        Shapes do not fit together, edges do not rise, or a coordinate or weight is NaN or infinite.

    Examples
    --------
    >>> eta, phi, pt = np.array([[-0.5, -0.5, 30.0], [0.5, -0.5, 10.0], [0.5, 0.5, 5.0]]).T
    >>> pixelate(eta, phi, pt, [2, 1], [-1, 0, 1], [-1, 0, 1]).tolist()
    [[[30.0, 10.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 5.0]]]
    """
    (eta, phi, weights), counts = require_packed(counts, eta=eta, phi=phi, weights=weights)
    eta_edges, phi_edges = _edges("eta_edges", eta_edges), _edges("phi_edges", phi_edges)
    height, width = len(phi_edges) - 1, len(eta_edges) - 1
    images = np.empty((len(counts), height, width), np.float32)
    for jets, rows in _blocks(counts, max(1, _BUFFER // (height * width))):
        row, column = _bins(phi[rows], phi_edges), _bins(eta[rows], eta_edges)
        images[jets] = _filled(row, column, weights[rows], counts[jets], height, width)
    return images


def _bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the place of each value among the bins, (T,) int; -1 or len(edges) - 1 outside."""
    place = np.searchsorted(edges, values, side="right") - 1
    place[values == edges[-1]] -= 1
    return place


def _filled(row, column, weights, counts: np.ndarray, height: int, width: int) -> np.ndarray:
    """Sum weights in the pixels that row and column name, dropping those outside; (N, H, W) float64."""
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixel = (jet_numbers(counts) * height + row) * width + column
    summed = np.bincount(pixel[inside], weights[inside], minlength=len(counts) * height * width)
    return summed.reshape(len(counts), height, width)


# --- pictures for networks --------------------------------------------------------------------------------------------


def standardised_images(
    jets: ak.Array,
    pixels: int = 40,
    half_width: float = 0.8,
    channels: Sequence[str] = ("pt",),
) -> np.ndarray:
    """Make pictures of jets in a standard position: centred, principal axis upright, brightest quadrant up right.

    The jets are moved, turned and mirrored before they are put on the grid, where no resolution is lost. A jet turned
    round the beam, mirrored, or turned about its own axis gives the same picture.

    Parameters
    ----------
    jets : (N, var) ak.Array of Momentum4D
    pixels : int
        Pixels along each side.
    half_width : float
        The picture reaches from -half_width to half_width in eta and in phi.
    channels : sequence of str
        What is summed in each pixel: ``"pt"``, divided by the pT inside the picture, so that it adds up to 1;
        ``"multiplicity"``, the number of constituents.

    Returns
    -------
    (N, pixels, pixels, C) float32

    Raises
    ------
    TypeError
        If the jets are not jagged four-momenta, or `pixels` is not one int.
    ValueError
        If a setting is out of range or a channel unknown, a jet is empty, has a constituent without pT or with NaN, or
        has nothing inside the picture.

    References
    ----------
    S. Macaluso, D. Shih, arXiv:1803.00107, section 3; channels: P. T. Komiske, E. M. Metodiev, M. D. Schwartz,
    arXiv:1612.01551.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> jets = unpack([[30.0, 0.0, 0.0, 30.0], [10.0, 2.0, 0.0, 10.2]], [2])
    >>> standardised_images(jets, pixels=4)[0, :, :, 0].round(2).tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.25, 0.0], [0.0, 0.0, 0.75, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    if not isinstance(pixels, int | np.integer):
        raise TypeError(f"pixels must be one int, because a picture that is rotated must be square; got {pixels!r}")
    if pixels < 1 or not 0 < half_width < np.inf:
        raise ValueError(f"expected at least 1 pixel and a half_width above 0, got {pixels} and {half_width}")
    unknown = [name for name in channels if name not in CHANNELS]
    if isinstance(channels, str) or unknown or len(channels) == 0:
        raise ValueError(f"channels must be a sequence of some of {CHANNELS}, got {channels!r}")
    jets = require_jagged(jets)
    edges = half_width * (2 * np.arange(pixels + 1) - pixels) / pixels  # symmetric to the last bit, unlike linspace
    images = np.empty((len(jets), pixels, pixels, len(channels)), np.float32)
    for first in range(0, len(jets), _BLOCK):
        block = jets[first : first + _BLOCK]
        pt, eta, phi, counts = _polar(block, first)
        for step in (centred, rotated, flipped):
            eta, phi = step(eta, phi, pt, counts)
        eta, phi = np.round(eta, DECIMALS), np.round(phi, DECIMALS)
        inside = (np.abs(eta) <= half_width) & (np.abs(phi) <= half_width)
        sum_pt = sum_by_jet(pt * inside, counts)
        if (sum_pt == 0).any():
            raise ValueError(
                f"{np.count_nonzero(sum_pt == 0)} jets have nothing within half_width = {half_width} of their centre, "
                f"the first is jet {first + np.flatnonzero(sum_pt == 0)[0]}: their images would be empty"
            )
        summed = {"pt": pt / np.repeat(sum_pt, counts), "multiplicity": np.ones(len(pt))}
        for channel, name in enumerate(channels):
            picture = pixelate(eta, phi, summed[name], counts, edges, edges)
            images[first : first + len(block), :, :, channel] = picture
    return images


def study_images(jets: ak.Array) -> np.ndarray:
    """Make pictures of jets as a calorimeter sees them: towers of a fixed grid, in integers.

    Towers of 0.12 in eta and 10 degrees in phi, beginning at eta = 0 and phi = -pi, whose centres lie within 1.2 of the
    jet's axis in eta and in phi: 20 columns, and 13 or 14 rows, depending on where the axis falls in its tower. With a
    margin of zeros they make 16 x 22 pixels, the window beginning at row 1 and column 1. The brightest pixel is 255,
    the others are rounded to integers on the same scale. Neither the grid nor the jet is turned.

    Parameters
    ----------
    jets : (N, var) ak.Array of Momentum4D

    Returns
    -------
    (N, 16, 22, 1) uint8
        Scale by 1/255 before a network sees them.

    Raises
    ------
    TypeError
        If the jets are not jagged four-momenta.
    ValueError
        If a jet is empty, has a constituent without pT or with NaN, or has nothing inside the window.

    Examples
    --------
    >>> from coursekit.jets import unpack
    >>> image = study_images(unpack([[30.0, 0.0, 0.0, 30.0], [10.0, 2.0, 0.0, 10.2]], [2]))[0, :, :, 0]
    >>> [(int(row), int(column), int(image[row, column])) for row, column in np.argwhere(image)]
    [(8, 11, 255), (9, 11, 87)]
    """
    jets = require_jagged(jets)
    images = np.empty((len(jets), *STUDY_SHAPE, 1), np.uint8)
    for first in range(0, len(jets), _BLOCK):
        block = jets[first : first + _BLOCK]
        pt, eta, phi, counts = _polar(block, first)
        px, py, pz = (sum_by_jet(p, counts) for p in (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)))
        axis_eta, axis_phi = np.arcsinh(pz / np.hypot(px, py)), np.arctan2(py, px)
        start_eta, stop_eta = _window(axis_eta / TOWER_ETA, WINDOW / 2 / TOWER_ETA)
        start_phi, stop_phi = _window((axis_phi + np.pi) / TOWER_PHI, WINDOW / 2 / TOWER_PHI)
        column = np.floor(eta / TOWER_ETA).astype(np.int64) - np.repeat(start_eta, counts)
        row = np.floor((phi + np.pi) / TOWER_PHI).astype(np.int64) - np.repeat(start_phi, counts)
        row %= round(2 * np.pi / TOWER_PHI)  # the towers close round the beam
        seen = (column >= 0) & (column < np.repeat(stop_eta - start_eta, counts))
        seen &= row < np.repeat(stop_phi - start_phi, counts)
        image = _filled(row + 1, column + 1, pt * seen, counts, *STUDY_SHAPE)
        brightest = image.max(axis=(1, 2))
        if (brightest == 0).any():
            raise ValueError(
                f"{np.count_nonzero(brightest == 0)} jets have nothing within {WINDOW / 2} of their axis, the first is "
                f"jet {first + np.flatnonzero(brightest == 0)[0]}: their images would be empty"
            )
        images[first : first + len(block), :, :, 0] = np.rint(255 * image / brightest[:, None, None])
    return images


def _window(axis: np.ndarray, half_width: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first tower whose centre, index + 1/2, is in axis +- half_width, and one past the last, (N,) int."""
    return tuple(np.ceil(edge - 0.5).astype(np.int64) for edge in (axis - half_width, axis + half_width))


# --- arithmetic and checks --------------------------------------------------------------------------------------------


def _polar(jets: ak.Array, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pT, eta, phi (T,) float64 of all constituents, and the counts (N,); `first` numbers the jets in errors."""
    packed, counts = pack(jets, ("px", "py", "pz"))
    if (counts == 0).any():
        raise ValueError(f"jet {first + np.flatnonzero(counts == 0)[0]} has no constituents; leave such jets out")
    px, py, pz = packed.astype(np.float64).T
    pt = np.hypot(px, py)
    good = np.isfinite(pt) & np.isfinite(pz) & (pt > 0)
    if not good.all():
        jet = first + jet_numbers(counts)[~good][0]
        raise ValueError(
            f"jet {jet} has a constituent with zero, infinite or NaN pT: if it is padding, drop it "
            "(coursekit.jets.unpad); if not, leave the jet out"
        )
    return pt, np.arcsinh(pz / pt), np.arctan2(py, px), counts


def _edges(name: str, edges: np.ndarray) -> np.ndarray:
    edges = np.asarray(edges)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"{name} must be at least two numbers that rise, got {edges}")
    return edges


def _blocks(counts: np.ndarray, size: int) -> Iterator[tuple[slice, slice]]:
    """Go through `size` jets at a time: yield the slice of the jets and that of their constituents."""
    ends = np.concatenate([[0], np.cumsum(counts)])
    for first in range(0, len(counts), size):
        last = min(first + size, len(counts))
        yield slice(first, last), slice(ends[first], ends[last])
