"""Exercises of lesson 07: pixels, angles that wrap, a standard position, a convolutional network, what it learned."""

import re
from functools import partial
from itertools import pairwise, product

import keras
import numpy as np
from keras import layers

from coursekit.checks import call, describe, exercise, fail
from coursekit.checks.compare import Mistake
from coursekit.checks.demands import whole_numbers


def constituents(rng, n, spread=0.4):
    """Return (eta, phi, pt) of one jet about the origin, harder towards its centre, no two alike."""
    eta, phi = (rng := np.random.default_rng(rng)).normal(0, spread, (2, n))
    return eta, phi, rng.exponential(20, n) + 60 * np.exp(-8 * (eta**2 + phi**2)) + 1


ONLY_LAST = "A pixel with several constituents keeps only one: `images[...] += pt` with arrays as indices adds once where an index comes twice, and `= pt` overwrites. np.add.at, np.bincount and np.histogram2d add up all."


@exercise(
    "7.1",
    "the image of one jet",
    cases=lambda: [
        (*constituents(71, 60, 0.5), np.linspace(-0.9, 0.6, n), np.linspace(-0.6, 0.8, m)) for n, m in ((9, 9), (6, 8))
    ],
    returns=("the image",),
    harmless={
        "accepted 1: a <= y": "No constituent lies on an edge to the last digit.",
        "accepted 1: y < b": "No constituent lies on an edge to the last digit.",
    },
    hints=(
        "np.histogram2d(x, y, bins=(x_edges, y_edges), weights=...) returns the sums first and then both edges.",
        "Its first argument makes the rows of the result, the second the columns.",
        "np.histogram2d(d_phi, d_eta, bins=(phi_edges, eta_edges), weights=pt)[0]",
    ),
    mistakes={
        "np.histogram2d returns three things, the sums and the edges twice. The image is the first: [0].": lambda x, y, pt, ex, ey: np.histogram2d(y, x, (ey, ex), weights=pt),
        "The axes are swapped: rows are phi and columns are eta, as a picture is drawn. The first argument of np.histogram2d makes the rows.": lambda *jet: make_image(*jet).T,
        "eta and phi are exchanged: the rows are phi and the columns are eta.": lambda x, y, *rest: make_image(y, x, *rest),
        ONLY_LAST: lambda x, y, pt, *edges: keep_last(x, y, pt, np.array([len(pt)]), *edges)[0],
        "The edges are exchanged: those of phi belong to phi.": lambda x, y, pt, ex, ey: make_image(x, y, pt, ey, ex),
        "This counts constituents. Each pixel is the sum of their pT: weights=pt.": lambda x, y, pt, *edges: make_image(x, y, np.ones_like(pt), *edges),
        "This counts constituents, and the axes are swapped.": lambda x, y, pt, *edges: make_image(x, y, np.ones_like(pt), *edges).T,
        "The window is on the wrong grid: with a number of bins the pixels reach from the first to the last constituent of this very jet, so that each jet has a grid of its own. Pass the edges.":
            lambda x, y, pt, ex, ey: np.histogram2d(y, x, (len(ey) - 1, len(ex) - 1), weights=pt)[0],
        "The window is on the wrong grid, one for each jet, and the axes are swapped. Pass the edges.": lambda x, y, pt, ex, ey: np.histogram2d(x, y, (len(ex) - 1, len(ey) - 1), weights=pt)[0],
        "The rows run from the top. Row 0 holds the smallest phi; imshow(..., origin='lower') draws it at the bottom.": lambda *jet: make_image(*jet)[::-1],
        "What lies outside the window was moved to its border. It is dropped.": lambda x, y, pt, ex, ey: make_image(np.clip(x, ex[0], ex[-1]), np.clip(y, ey[0], ey[-1]), pt, ex, ey),
        "This is a density, divided by the area of a pixel and by the sum.": lambda x, y, pt, ex, ey: np.histogram2d(y, x, (ey, ex), density=True, weights=pt)[0],
        "This is already normalised; the image is in GeV.": lambda *jet: make_image(*jet) / make_image(*jet).sum(),
    },
    accepted=[
        lambda x, y, pt, ex, ey: np.array(
            [[pt[(a <= y) & (y < b) & (c <= x) & (x < d)].sum() for c, d in pairwise(ex)] for a, b in pairwise(ey)]
        ),
        lambda x, y, pt, ex, ey: np.histogram2d(x, y, bins=(ex, ey), weights=pt)[0].T,
        lambda x, y, pt, ex, ey: np.histogramdd((y, x), bins=(ey, ex), weights=pt)[0].astype(np.float32),
    ],
)
def make_image(d_eta, d_phi, pt, eta_edges, phi_edges):
    return np.histogram2d(d_phi, d_eta, bins=(phi_edges, eta_edges), weights=pt)[0]


def far_forward_jets():
    axis_eta, axis_phi = np.repeat([3.6, -3.7, 0.3, 1.1], 12), np.repeat([3.05, -3.1, 0.4, -1.3], 12)
    d_eta, d_phi = np.random.default_rng(72).normal(0, 0.4, (2, 48))
    d_eta[:2] += (3.5, -7.4)  # opposite sides of a detector can be this far apart
    d_phi.reshape(4, 12)[:, :6] = np.outer([1, -1, 1, -1], [0.5, 2.0, 2.6, 3.0, -2.0, -3.0])
    yield axis_eta + d_eta, relative(0, axis_phi + d_phi, 0, 0)[1], axis_eta, axis_phi


def phi(wrap):
    return lambda eta, phi, axis_eta, axis_phi: (eta - axis_eta, wrap(phi - axis_phi))


@exercise(
    "7.2",
    "distances from the axis, the azimuth wrapped",
    cases=far_forward_jets,
    returns=("the distance in eta", "the distance in phi"),
    hints=(
        "Only phi is an angle round the beam: from 3.1 to -3.1 it is 0.08, not -6.2.",
        "(x + np.pi) % (2 * np.pi) - np.pi brings any x between -pi and pi.",
        "return eta - axis_eta, (phi - axis_phi + np.pi) % (2 * np.pi) - np.pi",
    ),
    mistakes={
        "The two are exchanged: first the distance in eta.": lambda *jets: relative(*jets)[::-1],
        "The sign is reversed: constituent minus axis, or the picture is mirrored.": lambda eta, phi, *axis: relative(*axis, eta, phi),
        "eta was wrapped, too. It is no angle: the detector does not close there.": lambda eta, phi, *axis: [relative(0, x, 0, x_axis)[1] for x, x_axis in zip((eta, phi), axis, strict=True)],
        "This is eta itself; subtract that of the axis.": lambda eta, *rest: (eta, relative(eta, *rest)[1]),
        "This is the absolute value: the side of the axis is lost, left or right, above or below.": lambda *jets: np.abs(relative(*jets)),
        "phi is not wrapped: what lies across +-pi seems 6 away, and falls out of the picture. It is the difference that must lie between -pi and pi.": phi(lambda d: d),
        "Differences above pi are wrapped, those below -pi are not.": phi(lambda d: d - 2 * np.pi * (d > np.pi)),
        "Differences below -pi are wrapped, those above pi are not.": phi(lambda d: d + 2 * np.pi * (d < -np.pi)),
        "phi is wrapped with period pi. A full turn is 2 pi.": phi(lambda d: np.arctan(np.tan(d))),
        "np.arcsin knows only -pi/2 ... pi/2, and folds back what lies beyond.": phi(lambda d: np.arcsin(np.sin(d))),
        "np.unwrap takes the constituents for the steps of a path: it asks how far each is from the one before. Wrap each difference by itself.": phi(np.unwrap),
        "phi is wrapped to 0 ... 2 pi, where what lies a little below the axis seems almost a turn away. Wrap to -pi ... pi.": phi(lambda d: d % (2 * np.pi)),
        "These are degrees; the lesson goes on in radians.": lambda *jets: np.array([[1], [180 / np.pi]]) * relative(*jets),
        "Some are a whole turn off: whatever lies beyond pi or -pi must be wrapped, 4 as well as 6.": phi(lambda d: np.where(np.abs(d) > 5, d - 2 * np.pi * np.sign(d), d)),
        "Those across the edge are a few thousandths off: a full turn is 2 * np.pi, and 6.28 is a little less.": phi(lambda d: np.where(np.abs(d) > 3.14, d - 6.28 * np.sign(d), d)),
        "relative should return the distance in eta and the distance in phi": lambda *jets: iter(relative(*jets)),
    },
    accepted=[
        phi(lambda d: np.arctan2(np.sin(d), np.cos(d))),
        phi(lambda differences: np.array([d - 2 * np.pi * round(d / (2 * np.pi)) for d in differences])),
        lambda *jets: np.stack(phi(lambda d: np.angle(np.exp(1j * d)))(*jets)),
    ],
)
def relative(eta, phi, axis_eta, axis_phi):
    return eta - axis_eta, (phi - axis_phi + np.pi) % (2 * np.pi) - np.pi


def packed_jets():
    rng, counts = np.random.default_rng(73), np.array([0, 7, 1, 12, 0, 9, 3, 0])
    for columns, rows in ((4, 3), (5, 5)):
        eta, phi, pt = constituents(rng, counts.sum(), 0.5)
        eta[-3:], phi[-3:] = 2.0, -0.55  # this jet lies outside and gives an empty image
        yield eta, phi, pt, counts, np.linspace(-0.5, 0.7, columns + 1), np.linspace(-0.6, 0.4, rows + 1)


def numbered(
    pixel=lambda j, r, c, h, w: (j * h + r) * w + c,  # of jet, row and column, with the height and width of an image
    inside=lambda r, c, h, w: (r >= 0) & (r < h) & (c >= 0) & (c < w),
    jet=np.repeat,
    add=np.bincount,
    first=1,
):
    def make_images(d_eta, d_phi, pt, counts, eta_edges, phi_edges):
        n, h, w = len(counts), len(phi_edges) - 1, len(eta_edges) - 1
        r, c = np.digitize(d_phi, phi_edges) - first, np.digitize(d_eta, eta_edges) - first
        kept = inside(r, c, h, w) & np.ones(len(pt), bool)
        return add(pixel(jet(np.arange(n), counts), r, c, h, w)[kept], pt[kept], n * h * w).reshape(n, h, w)

    return make_images


keep_last = numbered(add=lambda at, pt, n: np.array([dict(zip(at, pt, strict=True)).get(i, 0) for i in range(n)]))


@exercise(
    "7.3",
    "the images of all jets without a loop",
    cases=packed_jets,
    returns=("the array of images",),
    hints=(
        "Four numbers for each constituent: its jet, its row, its column, and whether it is inside.",
        "np.repeat(np.arange(len(counts)), counts) is the jet; np.searchsorted(phi_edges, d_phi, side='right') - 1 the row.",
        "pixel = (jet * height + row) * width + column numbers all pixels of all images; keep the constituents inside, and let np.bincount add up their pT with minlength=len(counts) * height * width.",
    ),
    mistakes={
        ONLY_LAST: keep_last,
        "The last jet has no constituents, and its image is missing: there are len(counts) images, not jet.max() + 1.": lambda *jets: make_images(*jets)[:-1],
        "np.bincount ends with the last pixel that holds something, and what is too short takes no shape. minlength=len(counts) * height * width keeps the empty pixels behind it.": numbered(add=lambda at, pt, n: np.bincount(at, pt)),
        "The empty pixels at the end are missing: minlength=len(counts) * height * width in np.bincount, and then the shape (jets, rows, columns).": lambda *jets: np.trim_zeros(make_images(*jets).ravel(), "b"),
        "These are the images; give them the shape (jets, rows, columns).": lambda *jets: make_images(*jets).ravel(),
        "Only the rows were looked at. What lies outside in eta must be dropped, too.": numbered(inside=lambda r, c, h, w: (r >= 0) & (r < h)),
        "Only the columns were looked at. What lies outside in phi must be dropped, too.": numbered(inside=lambda r, c, h, w: (c >= 0) & (c < w)),
        "What lies behind the last edge was not dropped: row < height and column < width.": numbered(inside=lambda r, c, h, w: (r >= 0) & (c >= 0)),
        "What lies before the first edge was not dropped: row >= 0 and column >= 0.": numbered(inside=lambda r, c, h, w: (r < h) & (c < w)),
        "What lies before the first edge was not dropped: for NumPy, row -1 is the last one.": numbered(lambda j, r, c, h, w: (j * h + r % h) * w + c % w, lambda r, c, h, w: (r < h) & (c < w)),
        "What lies outside was not dropped: a column of -1 or one too many is a pixel of the row before or after, and a row too many one of the next jet.": numbered(inside=lambda *_: True),
        "What lies outside the window was moved to its border. It is dropped.": lambda x, y, pt, counts, ex, ey: make_images(np.clip(x, ex[0], ex[-1] - 1e-9), np.clip(y, ey[0], ey[-1] - 1e-9), pt, counts, ex, ey),
        "The pixels are numbered by (jet * width + row) * height + column. A jet has height rows of width pixels: (jet * height + row) * width + column.": numbered(lambda j, r, c, h, w: (j * w + r) * h + c),
        "The pixels are numbered by (jet * width + column) * height + row. The last axis, which runs fastest, are the columns: (jet * height + row) * width + column.": numbered(lambda j, r, c, h, w: (j * w + c) * h + r),
        "eta and phi are exchanged: the rows are phi and the columns are eta.": lambda x, y, *rest: make_images(y, x, *rest),
        "The axes are swapped: rows are phi, columns are eta.": lambda x, y, pt, counts, ex, ey: make_images(y, x, pt, counts, ey, ex),
        "This counts constituents. Each pixel is the sum of their pT: the second argument of np.bincount.": lambda x, y, pt, *rest: make_images(x, y, np.ones_like(pt), *rest),
        "Row and column are one too large: np.searchsorted and np.digitize count from 1 what lies behind the first edge. Subtract 1.": numbered(first=0),
        "The jets are numbered from 1, so that each image holds the constituents of the jet before.": lambda *jets: np.roll(make_images(*jets), 1, axis=0),
        "The jet of a constituent is wrong: repeat the number of each jet as often as it has constituents, np.repeat(np.arange(len(counts)), counts).": numbered(jet=lambda numbers, counts: np.resize(numbers, counts.sum())),
    },
    accepted=[
        lambda x, y, pt, counts, ex, ey: np.histogramdd(
            (np.repeat(np.arange(len(counts)), counts), y, x), (np.arange(len(counts) + 1), ey, ex), weights=pt
        )[0].astype(np.float32),
        lambda x, y, pt, n, *e: np.array([make_image(*j.T, *e) for j in np.split(np.c_[x, y, pt], n.cumsum()[:-1])]),
    ],
)
def make_images(d_eta, d_phi, pt, counts, eta_edges, phi_edges):
    height, width = len(phi_edges) - 1, len(eta_edges) - 1
    jet = np.repeat(np.arange(len(counts)), counts)
    row = np.searchsorted(phi_edges, d_phi, side="right") - 1
    column = np.searchsorted(eta_edges, d_eta, side="right") - 1
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixel = (jet * height + row) * width + column
    summed = np.bincount(pixel[inside], pt[inside], minlength=len(counts) * height * width)
    return summed.reshape(len(counts), height, width)


def windows_of_three_sizes():
    rng = np.random.default_rng(74)
    for rows, columns in ((14, 20), (13, 20), (9, 15)):
        windows = rng.exponential(8, (5, rows, columns)) * (rng.random((5, rows, columns)) < 0.3)
        windows *= np.array([1, 3, 0.4, 7, 2])[:, None, None]
        windows[0] += 2  # a window without an empty tower
        windows[:, 6, 9] += 300  # more than a byte holds, in every jet
        yield (windows,)


def padded(scale, cast=lambda images: np.rint(images).astype(np.int64).astype(np.uint8)):
    return lambda w: np.pad(
        cast(scale(w, w.max((1, 2), keepdims=True))), ((0, 0), (1, 15 - w.shape[1]), (1, 21 - w.shape[2]))
    )


def one_byte_each(function, windows):
    if (kind := np.asarray(call(function, windows)).dtype) != np.uint8:
        fail(
            f"the numbers are right, but {kind}: .astype(np.uint8) makes one byte of each, an eighth of 64-bit integers."
        )


@exercise(
    "7.4",
    "windows padded to 16 x 22, in integers up to 255",
    cases=windows_of_three_sizes,
    returns=("the array of images",),
    demands=[one_byte_each],
    tolerance={"atol": 1e-6},
    hints=(
        "Two steps: the brightest pixel of each window becomes 255; then zeros all round.",
        "windows.max(axis=(1, 2), keepdims=True) is the brightest pixel of each; np.rint rounds, .astype(np.uint8) makes integers.",
        "np.pad(images, ((0, 0), (1, 16 - rows - 1), (1, 22 - columns - 1))): nothing along the jets, one row and one column of zeros in front, the rest behind.",
    ),
    mistakes={
        "The padding is on one side: all zeros come behind. The window begins at row 1 and column 1.": lambda w: np.roll(padded_integers(w), -1, axis=(1, 2)),
        "The padding is on one side: all zeros come in front. The window begins at row 1 and column 1.": lambda w: np.roll(padded_integers(w), (15 - w.shape[1], 21 - w.shape[2]), axis=(1, 2)),
        "The window is in the middle. It begins at row 1 and column 1, whatever its size.": lambda w: np.roll(padded_integers(w), ((14 - w.shape[1]) // 2, (20 - w.shape[2]) // 2), axis=(1, 2)),
        "np.pad put empty jets in front and behind. The first pair of its margins, that of the jets, is (0, 0) in np.pad(images, ((0, 0), ...)).": lambda w: np.pad(padded_integers(w)[:, 1 : 1 + w.shape[1], 1 : 1 + w.shape[2]], 1),
        "This is normalised over the batch: 255 is the brightest pixel of all jets, so that the picture of a jet depends on which others came along. Divide each by its own.": padded(lambda w, top: 255 * w / w.max()),
        "The faintest tower was subtracted. Only nothing is 0: divide by the brightest pixel.": lambda w: padded_integers(w - w.min(axis=(1, 2), keepdims=True)),
        "Each jet is divided by its sum. It is the brightest pixel that becomes 255.": padded(lambda w, top: 255 * w / w.sum(axis=(1, 2), keepdims=True)),
        "The numbers were cut off, not rounded: np.rint first, then .astype.": padded(lambda w, top: np.floor(255 * w / top)),
        "The brightest pixel is 0: a byte holds 0 to 255, and 256 begins again at 0.": padded(lambda w, top: 256 * w / top),
        "They became bytes too early: 300 GeV do not fit into a byte, and what is too large begins again at 0. Scale first.": lambda w: padded_integers(w.astype(np.int64).astype(np.uint8)),
        "These are shares between 0 and 1, in integers mostly zero. Multiply by 255.": padded(lambda w, top: w / top),
        "These are shares between 0 and 1; integers up to 255 are wanted.": padded(lambda w, top: w / top, np.positive),
        "The images are right but for rows and columns: 16 rows of phi, 22 columns of eta.": lambda w: padded_integers(w).swapaxes(1, 2),
        "The numbers are right; the zeros round them are missing.": lambda w: padded_integers(w)[:, 1 : 1 + w.shape[1], 1 : 1 + w.shape[2]],
        "makes one byte of each": lambda w: padded_integers(w).astype(float),
    },
    accepted=[
        padded(lambda w, top: [(255 * window / window.max()).round() for window in w]),
        padded(lambda w, top: np.einsum("nrc,n->nrc", w, 255 / w.reshape(len(w), -1).max(axis=1))),
    ],
)
def padded_integers(windows):
    _, rows, columns = windows.shape
    shares = windows / windows.max(axis=(1, 2), keepdims=True)
    integers = np.rint(255 * shares).astype(np.uint8)
    return np.pad(integers, ((0, 0), (1, 16 - rows - 1), (1, 22 - columns - 1)))


def leaning_jets():
    rng = np.random.default_rng(75)
    for angle in (0.5, 1.9, 2.7, 4.2):  # the last one has more pT below
        long, short, pt = constituents(rng, 40, spread=0.3)
        eta = 0.3 + long * np.cos(angle) - 0.3 * short * np.sin(angle)
        yield eta, -0.2 + long * np.sin(angle) + 0.3 * short * np.cos(angle), pt


def posed(
    by=lambda *sums: np.pi / 2 - np.arctan2(*sums) / 2,
    centre=lambda x, pt: np.average(x, weights=pt),
    weight=lambda pt: pt,
    old=lambda before, after: before,
):
    def upright(eta, phi, pt):
        x, y, w = eta - centre(eta, pt), phi - centre(phi, pt), weight(pt)
        angle = by(2 * np.sum(w * x * y), np.sum(w * (x**2 - y**2)))
        turned = x * np.cos(angle) - y * np.sin(angle)
        return turned, old(x, turned) * np.sin(angle) + y * np.cos(angle)

    return upright


def standing(upright, eta, phi, pt):
    """Return what is seen of an upright jet; an axis has no head, so that half a turn more is as good."""
    got = call(upright, eta, phi, pt)
    if np.shape(got) != (2, len(pt)):
        fail(f"upright should return two arrays of {len(pt)} numbers, eta and phi; what came is {describe(got)}.")
    x, y = np.asarray(got, dtype=float)
    leaning = -np.angle(pt @ (x + 1j * y) ** 2, deg=True) / 2
    half_turn = np.sign(y[np.argmax(np.abs(y))])
    return {
        "the mean position afterwards, weighted with pT,": np.array([pt @ x, pt @ y]).round(6) / pt.sum() + 0.0,
        "the sum of squared distances from the centre": np.sum(x**2 + y**2),
        "the angle between principal axis and vertical [degrees]": leaning % 180 - 90,
        "eta": half_turn * x,
        "phi": half_turn * y,
    }


@exercise(
    "7.5",
    "a jet centred and turned upright",
    cases=leaning_jets,
    observe=standing,
    harmless={
        "accepted 1: x": "If one of two factors is centred, a sum of their products does not depend on the mean of the other.",
    },
    tolerance={"atol": 1e-6},
    hints=(
        "Three steps: subtract the mean positions, np.average(eta, weights=pt); compute alpha; turn by pi/2 - alpha.",
        "A point turned by an angle a has the coordinates eta cos a - phi sin a and eta sin a + phi cos a: both from the old eta and phi.",
        "alpha = np.arctan2(2 * np.sum(pt * eta * phi), np.sum(pt * (eta**2 - phi**2))) / 2",
    ),
    mistakes={
        "The two are exchanged: first eta, then phi.": lambda *jet: upright(*jet)[::-1],
        "The arguments of np.arctan2 are exchanged: first the sum of eta times phi, then the difference.": posed(lambda *sums: np.pi / 2 - np.arctan2(*sums[::-1]) / 2),
        "np.arctan does not know the quadrant: some jets lie down instead of standing up. np.arctan2(2 * sum, difference).": posed(lambda *sums: np.pi / 2 - np.arctan(np.divide(*sums)) / 2),
        "It is turned by the wrong sign: alpha - pi/2 instead of pi/2 - alpha, so that a jet that leans to the right leans to the left.": posed(lambda *sums: np.arctan2(*sums) / 2 - np.pi / 2),
        "The axis lies along eta: turned by -alpha it comes down to the horizontal. Turn by pi/2 - alpha.": posed(lambda *sums: -np.arctan2(*sums) / 2),
        "It is turned by alpha. That is where the axis is; to bring it up, turn by pi/2 - alpha.": posed(lambda *sums: np.arctan2(*sums) / 2),
        "It is turned by the wrong amount: alpha is half of the arctan2.": posed(lambda *sums: np.pi / 2 - np.arctan2(*sums)),
        "phi was computed from the new eta. Both formulas need the old one: give the new coordinates other names, or return them at once.": posed(old=lambda before, after: after),
        "It is centred, but not turned.": posed(lambda *sums: 0),
        "It is turned about the jet axis: the mean position was not subtracted.": posed(centre=lambda x, pt: 0),
        "The mean position was subtracted, but the angle is that of the jet before.": lambda *jet: [x - np.average(x, weights=jet[2]) for x in posed(centre=lambda x, pt: 0)(*jet)],
        "The centre is the mean of the constituents, soft and hard alike. Weight it with pT.": posed(centre=lambda x, pt: x.mean()),
        "pT is in neither sum: soft and hard constituents count the same.": posed(centre=lambda x, pt: x.mean(), weight=np.ones_like),
        "The angle was computed without pT: soft and hard constituents count the same.": posed(weight=np.ones_like),
        "The centre is the hardest constituent. It is the mean position, weighted with pT.": posed(centre=lambda x, pt: x[np.argmax(pt)]),
        "It is mirrored, not turned: a rotation has cos, -sin in its first row and sin, cos in its second.": lambda *jet: np.multiply([[-1], [1]], upright(*jet)),
        "A jet whose lower end is the brighter one is mirrored, not turned. Half a turn changes the signs of both, eta and phi.": lambda *jet: np.multiply([[1], [np.sign(np.sign(upright(*jet)[1]) @ jet[2])]], upright(*jet)),
        "upright should return two arrays of 40 numbers": lambda *jet: np.stack(upright(*jet), axis=1),
    },
    accepted=[
        posed(lambda cross, diff: np.arctan2(*np.linalg.eigh([[diff, cross], [cross, -diff]])[1][:, 1])),
        lambda *jet: [-x for x in upright(*jet)],
    ],
)
def upright(eta, phi, pt):
    eta, phi = eta - np.average(eta, weights=pt), phi - np.average(phi, weights=pt)
    alpha = np.arctan2(2 * np.sum(pt * eta * phi), np.sum(pt * (eta**2 - phi**2))) / 2
    cos, sin = np.cos(np.pi / 2 - alpha), np.sin(np.pi / 2 - alpha)
    return eta * cos - phi * sin, eta * sin + phi * cos


def quadrant(value, best=max):
    return lambda eta, phi, pt: best(
        ([a * eta, b * phi] for a, b in product((1, -1), repeat=2)), key=lambda at: value(pt[(at[0] > 0) & (at[1] > 0)])
    )


@exercise(
    "7.6",
    "a jet mirrored so that its brightest quadrant is the upper right",
    # The brighter half, the fullest quadrant, the hardest constituent: in these jets they lie elsewhere.
    cases=lambda: [constituents(seed, 24) for seed in (52, 155, 178, 183, 237, 472, 1891)],
    harmless={
        "answer: [(1, 1), (-1, 1), (-1, -1), (1, -1)]": "No two quadrants are equally bright.",
        "answer: np.argmax(brightness)": "No momentum is NaN.",
        "answer: a * eta > 0": "No constituent lies on an axis to the last digit.",
        "answer: b * phi > 0": "No constituent lies on an axis to the last digit.",
        "answer: a * eta": "No constituent lies on an axis to the last digit.",
        "answer: b * phi": "No constituent lies on an axis to the last digit.",
        "accepted 1: (1, -1)": "No two quadrants are equally bright.",
        "accepted 1: at[0] > 0": "No constituent lies on an axis to the last digit.",
        "accepted 1: at[1] > 0": "No constituent lies on an axis to the last digit.",
    },
    returns=("the new eta", "the new phi"),
    hints=(
        "Four sums of pT, one for each quadrant: pt[(eta > 0) & (phi > 0)].sum() is that of the upper right.",
        "If the brightest lies on the left, change the sign of eta; if it lies below, that of phi.",
        "signs = [(1, 1), (-1, 1), (-1, -1), (1, -1)]; the brightest is np.argmax of pt[(a * eta > 0) & (b * phi > 0)].sum() for a, b in signs; return a * eta, b * phi.",
    ),
    mistakes={
        "It follows the brighter half, right or left, upper or lower, each by itself. The brightest quadrant can be another one.": lambda eta, phi, pt: [np.sign(np.sign(x) @ pt) * x for x in (eta, phi)],
        "It follows the fuller half, right or left, upper or lower. The brightest quadrant is that with the largest sum of pT.": lambda eta, phi, pt: [np.sign(np.sum(np.sign(x))) * x for x in (eta, phi)],
        "It follows the hardest constituent. The brightest quadrant is that with the largest sum of pT.": quadrant(np.max),
        "The quadrant with the most constituents was taken, not that with the largest sum of pT.": quadrant(len),
        "The quadrant with the largest mean pT was taken, not that with the largest sum.": quadrant(np.mean),
        "The faintest quadrant was taken: np.argmin for np.argmax.": quadrant(np.sum, min),
        "Nothing was mirrored.": lambda eta, phi, pt: (eta, phi),
        "Only eta was mirrored; the brightest quadrant must go up, too.": lambda eta, phi, pt: (mirrored(eta, phi, pt)[0], phi),
        "Only phi was mirrored; the brightest quadrant must go to the right, too.": lambda eta, phi, pt: (eta, mirrored(eta, phi, pt)[1]),
        "The brightest quadrant was sent to the lower left.": lambda *jet: [-x for x in mirrored(*jet)],
        "The brightest quadrant was sent to the upper left.": lambda *jet: np.multiply([[-1], [1]], mirrored(*jet)),
        "The brightest quadrant was sent to the lower right.": lambda *jet: np.multiply([[1], [-1]], mirrored(*jet)),
        "Single constituents were mirrored: the picture is folded. The whole jet gets one sign for eta and one for phi.": lambda eta, phi, pt: (np.abs(eta), np.abs(phi)),
        "It is turned by quarters, not mirrored: eta and phi may only change their signs, all of one jet in the same way.": lambda *jet: mirrored(*jet)[:: int(np.sign(np.prod(mirrored(*jet), axis=0) / np.prod(jet[:2], axis=0))[0])],
        "The two are exchanged: first eta, then phi.": lambda *jet: mirrored(*jet)[::-1],
        "changes its input in place": lambda eta, phi, pt: (np.abs(eta, out=eta), phi),
    },
    accepted=[quadrant(sum), lambda *jet: np.array(mirrored(*jet))],
)
def mirrored(eta, phi, pt):
    signs = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    brightness = [pt[(a * eta > 0) & (b * phi > 0)].sum() for a, b in signs]
    a, b = signs[np.argmax(brightness)]
    return a * eta, b * phi


def network(*order, begin=keras.Input, at=(0, 1, 3, 4), put=None, **settings):
    """Return a cnn with other settings of its convolutions, or of the layers `at`, with others put in, or in an order."""

    def mistaken(shape, filters, dense):
        kinds = enumerate((type(layer), layer.get_config()) for layer in cnn(shape, filters, dense).layers)
        parts = {i: kind.from_config({**config, **(settings if i in at else {})}) for i, (kind, config) in kinds}
        parts |= {i: make() for i, make in (put or {}).items()}
        outputs = inputs = begin(shape)
        for i in order or sorted(parts):
            outputs = parts[i](outputs)
        return keras.Model(inputs, outputs)

    return mistaken


def built(cnn, shape, filters, dense):
    """Build a student's network, with words for what Keras says about wrong shapes."""
    nothing_left = f'a picture of {shape} has nothing left at the end: the convolutions need padding="same" and no strides, the poolings are layers.MaxPooling2D(2).'
    try:
        model = call(cnn, shape, filters, dense)
    except Mistake as mistake:
        if re.search("ndim=[35]|same length as input", str(mistake)):
            fail(
                "Keras found images of the wrong number of axes: is the channel axis forgotten, or there twice? A picture is (rows, columns, channels), and `shape` has all three: keras.Input(shape)."
            )
        if re.search("negative|empty output", str(mistake)):
            fail(nothing_left)
        raise
    if not isinstance(model, keras.Model):
        fail(f"cnn should return a keras.Sequential; what came is {describe(model)}.")
    if not model.built:
        fail("`shape` is not used: the network begins with keras.Input(shape).")
    if (takes := tuple(model.input_shape[1:])) != shape:
        fail(f"it takes images of {takes}. The network should take whatever `shape` says: keras.Input(shape).")
    if any(isinstance(layer, keras.Model) for layer in model.layers):
        fail(
            "The layers lie in models inside the model. Put all into one keras.Sequential: a later cell looks for the first convolution there."
        )
    if any(0 in layer.output.shape for layer in model.layers):
        fail(nothing_left)
    return model


def parts_of(model):
    """Return [layer, names of its activations] of each layer; an activation can be a layer, or an operation, too."""
    parts = [[None, []]]  # an activation may even come first
    for part in getattr(model, "operations", model.layers):
        kind = type(part).__name__.lower()
        alone = kind in ("relu", "leakyrelu", "prelu", "elu", "softmax", "sigmoid", "tanh")
        name = kind if alone else getattr(getattr(part, "activation", None), "__name__", "linear")
        parts += [] if alone or kind in ("activation", "inputlayer") else [[part, []]]
        parts[-1][1].extend([] if name == "linear" else [name])
    return parts[1:]


def seen_in(cnn, shape, filters, dense):
    """Return what is seen of a network: its layers with their settings, and the scores that it gives."""
    model = built(cnn, shape, filters, dense)
    parts = parts_of(model)
    configs = [layer.get_config() for layer, _ in parts]
    seen = {"the sequence of layers": ", ".join(type(layer).__name__ for layer, _ in parts)}
    settings = "filters kernel_size padding strides dilation_rate groups use_bias pool_size units rate"
    seen |= {f"the layers' {name}": [config[name] for config in configs if name in config] for name in settings.split()}
    for kind, what in {layers.Conv2D: "convolutions", layers.Dense: "dense layers"}.items():
        activations = [" and then ".join(names) or "none" for layer, names in parts if isinstance(layer, kind)]
        seen[f"the list of activations of the {what}"] = activations
    kernels = [keras.ops.convert_to_numpy(weight) for weight in model.weights if weight.path.endswith("kernel")]
    if not all(map(np.any, kernels)):
        fail("Weights begin at zero, where no gradient reaches them. Leave the initialiser as it is.")
    seen["the number of parameters"] = model.count_params()
    seen["the number of parameters that are trained"] = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    seen["the number of terms that are added to the loss"] = len(model.losses)
    rng = np.random.default_rng(77)
    model.set_weights([rng.normal(0, 0.3, w.shape) for w in model.get_weights()])
    pictures = rng.exponential(1, (8, *shape)).astype(np.float32)
    scores, again = (keras.ops.convert_to_numpy(model(pictures)) for _ in range(2))
    if not np.array_equal(scores, again):
        fail(
            "Asked twice about the same pictures, the network gives two answers: its dropout is always on. Do not set `training`; Keras drops units while it trains and keeps all when it is asked."
        )
    return seen | {"the array of scores, with other weights,": scores}


def single_precision(function, *arguments):
    """Demand that the output stays in 32 bits where the layers before it compute in 16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        precision = function(*arguments).layers[-1].compute_dtype
    finally:
        keras.config.set_dtype_policy(before)
    if precision != "float32":
        fail(
            f'on a GPU, where this lesson computes in half precision, the last layer computes in {precision}: in float16 a score above 0.999 knows no third number between two neighbours, and its logarithm overflows. dtype="float32" in the last layer.'
        )


@exercise(
    "7.7",
    "a convolutional network",
    cases=lambda: [((20, 18, 2), 4, 12)],  # no two of these numbers are those of the text
    observe=seen_in,
    demands=[single_precision],
    tolerance={"rtol": 1e-4, "atol": 1e-5},
    hints=(
        'layers.Conv2D(filters, 3, padding="same", activation="relu") is one convolution; a pair is two of them and layers.MaxPooling2D(2).',
        "Eleven lines: input, the first pair, pooling, the second pair with 2 * filters, pooling, layers.Flatten(), a dense layer with ReLU, layers.Dropout(0.5), the output.",
        'The last line is layers.Dense(1, activation="sigmoid", dtype="float32").',
    ),
    mistakes={
        "is the channel axis forgotten": network(begin=lambda shape: keras.Input(shape[:2])),
        "or there twice?": network(begin=lambda shape: keras.Input((*shape, 1))),
        "has nothing left at the end": network(put={2: lambda: layers.MaxPooling2D(6)}, padding="valid"),
        "cnn should return a keras.Sequential; what came is list": lambda *settings: cnn(*settings).layers,
        "`shape` is not used": lambda *settings: keras.Sequential([layers.Flatten(), layers.Dense(1)]),
        "The network should take whatever `shape` says": network(begin=lambda shape: keras.Input((16, 22, 1))),
        "There are four convolutions, two pairs; here each is alone.": network(0, 2, 3, 5, 6, 7, 8, 9),
        "The layers lie in models inside the model.": network(0, 6, 7, 8, 9, put={0: lambda: keras.Sequential(cnn((20, 18, 2), 3, 10).layers[:6])}),
        "The filters have 3 x 3 pixels, not 5 x 5.": network(kernel_size=5),
        'The pictures shrink: without padding="same" each convolution eats one row and one column on every side, and the border of the jet is seen less often than its centre.': network(padding="valid"),
        "The second pair has as many filters as the first; it has twice as many.": network(filters=3),
        "the layers' filters[0] is 8, expected 3": network(filters=8),
        "and no strides": network(strides=2),
        "the layers' dilation_rate[0][0] is 2, expected 1": network(dilation_rate=2),
        "the layers' use_bias[0] is False, expected True": network(use_bias=False),
        'The convolutions have no activation: two of them in a row are one linear filter. activation="relu" in each.': network(activation=None),
        "the list of activations of the convolutions[0] is 'gelu', expected 'relu'": network(activation="gelu"),
        "There is no pooling: layers.MaxPooling2D(2) follows each pair.": network(0, 1, 3, 4, 6, 7, 8, 9),
        "The pooling takes the largest of 2 x 2 pixels, not of 4 x 4.": network(at=(2, 5), pool_size=4, strides=4),
        "The pooling takes the mean; it keeps the largest pixel, layers.MaxPooling2D(2).": network(put={at: lambda: layers.AveragePooling2D(2) for at in (2, 5)}),
        "The poolings are misplaced: the first comes after the first pair of convolutions, the second after the second pair.": network(0, 2, 1, 3, 5, 4, 6, 7, 8, 9),
        "Before the dense layers comes a Flatten: without it they work on each pixel by itself.": network(0, 1, 2, 3, 4, 5, 7, 8, 9),
        "There is no layers.Flatten(): what is left of the picture must become one row of numbers without losing where it was. A global pooling keeps one number a filter.": network(put={6: layers.GlobalAveragePooling2D}),
        "The softmax of a single number is always 1, and so is every score. Use a sigmoid.": network(at=[9], activation="softmax"),
        "The network has two outputs. Top and QCD exclude each other: one score, with a sigmoid, is enough.": network(at=[9], units=2, activation="softmax"),
        "The softmax is applied twice: no score is below 0.27 or above 0.73, however bright the picture. And one output with a sigmoid is enough for two classes.": network(at=[9], units=2, activation="softmax", put={10: layers.Softmax}),
        "The sigmoid is missing at the output: a probability lies between 0 and 1.": network(at=[9], activation=None),
        "The sigmoid is applied twice: no score is below 0.5 or above 0.73. Once is enough.": network(put={10: lambda: layers.Activation("sigmoid", dtype="float32")}),
        "the list of activations of the dense layers[1] is 'hard_sigmoid', expected 'sigmoid'": network(at=[9], activation="hard_sigmoid"),
        "the layers' units[0] is 64, expected 10": network(at=[7], units=64),
        'The dense layer has no activation: activation="relu".': network(at=[7], activation=None),
        "the list of activations of the dense layers[0] is 'tanh', expected 'relu'": network(at=[7], activation="tanh"),
        "There is no dropout: layers.Dropout(0.5) stands in front of the output.": network(*range(8), 9),
        "the layers' rate[0] is 0.2, expected 0.5": network(at=[8], rate=0.2),
        "The dropout belongs between the dense layer and the output.": network(*range(7), 8, 7, 9),
        "There is a layer too many, Rescaling. This network does without.": network(put={-1: lambda: layers.Rescaling(0.01)}),
        "There is a layer too many, BatchNormalization. This network does without.": network(0, 10, *range(1, 10), put={10: layers.BatchNormalization}),
        "The convolutions are frozen, trainable=False: they would never learn.": network(trainable=False),
        "There is a regulariser; this network does without.": network(kernel_regularizer="l2"),
        "Weights begin at zero, where no gradient reaches them.": network(kernel_initializer="zeros"),
        "One convolution is applied twice, with the same weights. Each is a layer of its own.": network(0, 1, *range(1, 10)),
        "its dropout is always on": network(put={8: lambda: partial(layers.Dropout(0.5), training=True)}),
        "knows no third number": network(at=[9], dtype=None),
        "the last layer computes in float64": network(at=[9], dtype="float64"),
    },
    accepted=[
        network(activation=None, put=dict.fromkeys((0.5, 1.5, 3.5, 4.5), lambda: keras.ops.relu)),
        network(at=[7], activation=None, put={7.5: layers.ReLU}, kernel_initializer="he_normal"),
        network(at=[9], activation=None, put={10: lambda: layers.Activation("sigmoid", dtype="float32")}),
    ],
)
def cnn(shape, filters, dense):
    return keras.Sequential(
        [
            keras.Input(shape),  # (N, H, W, C)
            layers.Conv2D(filters, 3, padding="same", activation="relu"),  # (N, H, W, filters)
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),  # (N, H / 2, W / 2, filters)
            layers.Conv2D(2 * filters, 3, padding="same", activation="relu"),  # (N, H / 2, W / 2, 2 filters)
            layers.Conv2D(2 * filters, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),  # (N, H / 4, W / 4, 2 filters)
            layers.Flatten(),
            layers.Dense(dense, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid", dtype="float32"),  # (N, 1)
        ]
    )


def curves():
    for loss, validation in (
        ((500, 450, 400, 380, 360, 350, 340), (490, 390, 400, 410, 420, 370, 380)),  # three worse ones, then a better
        ((610, 440, 390, 350, 330, 300, 270, 240, 220), (660, 460, 400, 410, 380, 370, 390, 420, 450)),
        ((500, 400, 300, 200), (520, 470, 480, 550)),
        ((500, 450, 400, 360, 340), (490, 353, 360, 347, 357)),  # alike to two digits
        ((700, 600), (600, 500)),
    ):
        yield ({"loss": [x / 1000 for x in loss], "val_loss": [x / 1000 for x in validation]},)


def at(values=lambda training, validation: validation, best=np.argmin, first=1):
    return lambda history: first + int(best(values(np.array(history["loss"]), np.array(history["val_loss"]))))


@exercise(
    "7.8",
    "the epoch after which the network only learns by heart",
    cases=curves,
    returns=("the epoch",),
    hints=(
        "It is the epoch of the smallest validation loss.",
        "np.argmin gives the position, which begins at 0; the first epoch is epoch 1.",
    ),
    mistakes={
        "Epochs are counted from 1: np.argmin counts from 0.": at(first=0),
        "This is the epoch of the largest validation loss: np.argmax for np.argmin. A loss is to be small.": at(best=np.argmax),
        "This is the largest validation loss (np.argmax for np.argmin), counted from 0.": at(best=np.argmax, first=0),
        "This is the last epoch, where the training loss is smallest: of course, since the network is trained on these jets. Look at the validation loss.": at(lambda t, v: t),
        "This is the last epoch, where the training loss is smallest, counted from 0. Look at the validation loss.": at(lambda t, v: t, first=0),
        "The validation loss scatters and may fall again after it has risen once: take its smallest value of all, not the first that is followed by a larger one.": at(lambda t, v: np.append(np.diff(v), 1) > 0, np.argmax),
        "The validation loss may fall again even after two or three epochs without a better one: take its smallest value of all, however late.": at(lambda t, v: [x == min(v[i : i + 4]) for i, x in enumerate(v)], np.argmax),
        "This is the smallest loss itself; the epoch is wanted.": lambda history: min(history["val_loss"]),
        "The losses were rounded, and the first of several that seem alike was taken. Compare them as they are.": at(lambda t, v: v.round(2)),
        "This is where the two losses are closest. The validation loss alone decides.": at(lambda t, v: np.abs(v - t)),
        "This is where the sum of the two losses is smallest. The validation loss alone decides.": at(lambda t, v: t + v),
        "This is the first epoch with a validation loss above the training loss. That gap is no overfitting as long as both fall: take the smallest validation loss.": at(lambda t, v: [*(v > t)[:-1], True], np.argmax),
        "This is where the validation loss falls fastest, not where it is smallest.": at(lambda t, v: np.diff(v)),
        "This is the minimum of a smoothed curve. Take the smallest loss as it is.": at(lambda t, v: np.convolve(v, np.ones(3) / 3, mode="same")),
        "the epoch should be": lambda history: str(best_epoch(history)),
    },
    accepted=[
        lambda history: history["val_loss"].index(min(history["val_loss"])) + 1,
        lambda history: min((loss, epoch) for epoch, loss in enumerate(history["val_loss"], start=1))[1],
    ],
)
def best_epoch(history):
    return int(np.argmin(history["val_loss"])) + 1


def scored_jets():
    rng = np.random.default_rng(79)
    for n, share in ((12_000, 0.7), (8_000, 0.999)):  # more tops than QCD jets: then it shows who sets the threshold
        labels = (rng.random(n) < share).astype(int)
        score = 1 / (1 + np.exp(-rng.normal(2.2 * labels - 1.1, 1.3)))
        yield from ((labels, score, 0.6), (labels, score, 0.8))


def above(threshold):
    return lambda *jets: np.sum(jets[0] == 0) / np.sum(jets[1][jets[0] == 0] >= threshold(*jets))


@exercise(
    "7.9",
    "the background rejection at a signal efficiency",
    cases=scored_jets,
    harmless={
        "answer: score[labels == 0] >= threshold": "No two jets have the same score.",
        "accepted 1: jets[1][jets[0] == 0] >= threshold(*jets)": "No two jets have the same score.",
        "accepted 1: sorted(score[labels == 1])[round((1 - efficiency) * labels.sum())]": "One jet more or less among thousands changes the rejection by less than is asked for.",
        "accepted 1: (1 - efficiency) * labels.sum()": "One jet more or less among thousands changes the rejection by less than is asked for.",
    },
    returns=("the rejection",),
    tolerance={"rtol": 0.01},
    hints=(
        "Two steps: the threshold above which the share `efficiency` of the tops lies; then the share of QCD jets above it.",
        "The threshold is np.quantile(score[labels == 1], 1 - efficiency); the mean of a boolean array is a share.",
        "1 / np.mean(score[labels == 0] >= threshold)",
    ),
    mistakes={
        "This is 1/(1 - eps): one over the share of QCD jets that fail. The rejection is one over the share that passes.": lambda *jets: 1 / (1 - 1 / rejection_at(*jets)),
        "This is the background efficiency. The rejection is one over it.": lambda *jets: 1 / rejection_at(*jets),
        "This is the share of QCD jets that fail. The rejection is one over the share that passes.": lambda *jets: 1 - 1 / rejection_at(*jets),
        "This is one over the signal efficiency.": lambda labels, score, efficiency: 1 / efficiency,
        "The threshold is a quantile of the background's scores: that fixes the share of QCD jets, not of tops. Use score[labels == 1].": above(lambda labels, score, efficiency: np.quantile(score[labels == 0], 1 - efficiency)),
        "The threshold is a quantile of the background's scores. Use score[labels == 1], and 1 - efficiency.": above(lambda labels, score, efficiency: np.quantile(score[labels == 0], efficiency)),
        "The threshold is a quantile of all scores. The efficiency is a share of the tops alone: use score[labels == 1].": above(lambda labels, score, efficiency: np.quantile(score, 1 - efficiency)),
        "The threshold is the quantile `efficiency` of the tops' scores, which only the rest passes. It is the quantile 1 - efficiency.": above(lambda labels, score, efficiency: np.quantile(score[labels == 1], efficiency)),
        "The threshold is the efficiency itself. A score above 0.6 does not mean that 60% of the tops pass.": above(lambda labels, score, efficiency: efficiency),
        "The share is one of all jets, tops included. Count the QCD jets alone.": lambda labels, score, efficiency: 1 / np.mean(score >= np.quantile(score[labels == 1], 1 - efficiency)),
        "This is QCD jets over all jets: divide by the number of QCD jets.": lambda *jets: rejection_at(*jets) / np.mean(jets[0] == 0),
        "This is the rejection at 0.6, whatever is asked for. Use `efficiency`.": lambda labels, score, efficiency: rejection_at(labels, score, 0.6),
        "the rejection should be": lambda *jets: f"{rejection_at(*jets):.4f}",
    },
    accepted=[
        above(lambda labels, score, efficiency: sorted(score[labels == 1])[round((1 - efficiency) * labels.sum())]),
        lambda y, score, e: 1 / np.interp(e, *(np.cumsum(y[np.argsort(-score)] == k) / np.sum(y == k) for k in (1, 0))),
    ],
)
def rejection_at(labels, score, efficiency):
    threshold = np.quantile(score[labels == 1], 1 - efficiency)
    return 1 / np.mean(score[labels == 0] >= threshold)


def jets_in_columns():
    for n, share, width in ((9000, 0.6, 1.6), (6000, 0.3, 0.8)):  # classes of unequal size; one is easier than the other
        rng = np.random.default_rng(n)
        labels = (rng.random(n) < share).astype(int)
        top = 1 / (1 + np.exp(-rng.normal(3 * labels - 1.4, np.where(labels, 1.2, width))))
        yield from ((np.eye(2, dtype=int)[labels], np.stack([1 - top, top], axis=1), e) for e in (0.6, 0.8))


def of_column(labels=lambda y: y[:, 1], score=lambda p: p[:, 1], rejection=lambda y, p, e: rejection_at(y, p, e)):
    return lambda one_hot, probabilities, efficiency: rejection(labels(one_hot), score(probabilities), efficiency)


@exercise(
    "7.10",
    "the rejection of QCD jets from labels and scores in two columns",
    cases=jets_in_columns,
    harmless={
        "accepted 1: p[:, 1] - p[:, 0]": "Of two numbers that add up to 1, the ratio rises as the difference does.",
        "accepted 2: p[y[:, 0] == 1, 1] >= np.quantile(p[y[:, 1] == 1, 1], 1 - e)": "No two jets have the same score.",
    },
    returns=("the rejection",),
    tolerance={"rtol": 0.01},
    hints=(
        "One column is enough: that of the tops says all, since the two probabilities add up to 1.",
        "one_hot[:, 1] is 1 for a top and 0 for a QCD jet; probabilities[:, 1] rises with the top.",
        "return rejection_at(one_hot[:, 1], probabilities[:, 1], efficiency)",
    ),
    mistakes={
        "Both classes are pooled: flattened, each jet comes twice, once as a top and once as a QCD jet, and the numbers of the two columns share one threshold. What you asked is how often a class is told from the other one, whichever it is. Take the column of the tops alone.": of_column(np.ravel, np.ravel),
        "This is the rejection of tops: here QCD jets are the signal. The tops are in column 1.": of_column(lambda y: y[:, 0], lambda p: p[:, 0]),
        "The labels are those of one column and the scores those of the other, so that the score falls where it should rise.": of_column(score=lambda p: p[:, 0]),
        "The labels are those of the QCD jets, and the scores those of the tops. Both are in column 1.": of_column(lambda y: y[:, 0]),
        "The scores became decisions, 0 or 1, by np.argmax: with two values there is one threshold, and the efficiency cannot be chosen. Keep the probability.": of_column(score=lambda p: p.argmax(axis=1)),
        "The scores were rounded to decisions, 0 or 1: with two values there is one threshold, and the efficiency cannot be chosen. Keep the probability.": of_column(score=lambda p: p[:, 1] > 0.5),
        "one_hot[1] and probabilities[1] are the second jet. The second column is one_hot[:, 1], of all jets.": lambda y, p, e: rejection_at(y[1], p[1], e),
        "The larger of the two probabilities says how sure the network is, not of what. Take that of the tops.": of_column(score=lambda p: p.max(axis=1)),
        "This is the mean of the rejections of both classes. An analysis needs that of the QCD jets.": lambda y, p, e: (rejection_at(y[:, 0], p[:, 0], e) + rejection_at(y[:, 1], p[:, 1], e)) / 2,
        "This is the background efficiency. The rejection is one over it.": of_column(rejection=lambda *jets: 1 / rejection_at(*jets)),
        "This is the rejection at 0.6, whatever is asked for. Use `efficiency`.": lambda y, p, e: rejection_at(y[:, 1], p[:, 1], 0.6),
        "The threshold is a quantile of all scores. The efficiency is a share of the tops alone.": of_column(rejection=above(lambda y, p, e: np.quantile(p, 1 - e))),
        "The threshold is a quantile of the background's scores. The efficiency is a share of the tops.": of_column(rejection=above(lambda y, p, e: np.quantile(p[y == 0], 1 - e))),
        "The threshold is the efficiency itself. A score above 0.6 does not mean that 60% of the tops pass.": of_column(rejection=above(lambda y, p, e: e)),
    },
    accepted=[
        of_column(lambda y: y.argmax(axis=1), lambda p: p[:, 1] - p[:, 0]),
        lambda y, p, e: 1 / np.mean(p[y[:, 0] == 1, 1] >= np.quantile(p[y[:, 1] == 1, 1], 1 - e)),
    ],
)
def rejection_of_columns(one_hot, probabilities, efficiency):
    return rejection_at(one_hot[:, 1], probabilities[:, 1], efficiency)


def three_thousand_jets():
    rng = np.random.default_rng(710)
    labels = rng.integers(0, 2, 3000)
    score = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1.6)))
    score[[0, -1]] = score.min() / 2, (1 + score.max()) / 2  # no loop may forget the first, or the last
    labels[np.argsort(score)[[-2, 2]]] = (0, 1)  # a QCD jet among the most top-like, and the other way round
    yield labels, score, 400  # so many that np.argpartition leaves them unsorted on every processor


def positions(function, *jets):
    """Return the four arrays, unless they hold the right jets in an order that is neither right nor reversed."""
    got = call(function, *jets)
    for part, right in zip(got if isinstance(got, tuple | list | np.ndarray) else (), pick(*jets), strict=False):
        same_jets = np.shape(part) == np.shape(right) and np.array_equal(np.sort(part), np.sort(right))
        if same_jets and not (np.array_equal(part, right) or np.array_equal(part, right[::-1])):
            fail("These are the right jets in another order. The most extreme comes first.")
    return got


def replaced(at, chosen):
    return lambda *jets: [*pick(*jets)[:at], chosen(*jets[:2])[: jets[2]], *pick(*jets)[at + 1 :]]


def among(label, key):
    return lambda labels, score: np.flatnonzero(labels == label)[np.argsort(key(score[labels == label]))]


@exercise(
    "7.11",
    "the most certain, uncertain and wrong jets",
    cases=three_thousand_jets,
    returns=(*(f"the array of the most {k} jets" for k in ("top-like", "QCD-like", "uncertain", "confidently wrong")),),
    observe=positions,
    demands=[whole_numbers],
    hints=(
        "np.argsort gives the positions in rising order: the first n of np.argsort(score) are the most QCD-like.",
        "With a minus in front the order is reversed: np.argsort(-score)[:n].",
        "Uncertain is a small distance from 0.5, wrong a large distance from the label: np.abs(score - labels).",
    ),
    mistakes={
        "The first two are exchanged, np.argmin for np.argmax: the score rises with the top, label 1.": lambda *jets: [pick(*jets)[i] for i in (1, 0, 2, 3)],
        "The last two are exchanged: first the most uncertain, then the most confidently wrong.": lambda *jets: [pick(*jets)[i] for i in (0, 1, 3, 2)],
        "These are the most top-like among the true tops. Take all jets: whether the network is right is another question.": replaced(0, among(1, np.negative)),
        "These are positions among the tops, not in the whole array. Sort the whole array.": replaced(0, lambda labels, score: np.argsort(-score[labels == 1])),
        "These are the most QCD-like among the true QCD jets. Take all jets.": replaced(1, among(0, np.positive)),
        "These are positions among the QCD jets, not in the whole array. Sort the whole array.": replaced(1, lambda labels, score: np.argsort(score[labels == 0])),
        "These are the most QCD-like jets. A distance has no sign: np.abs(score - 0.5).": replaced(2, lambda labels, score: np.argsort(score - 0.5)),
        "These are the most certain jets. Uncertain is a score near 0.5: a small distance, not a large one.": replaced(2, lambda labels, score: np.argsort(-np.abs(score - 0.5))),
        "These are jets in the middle of the order. The middle of the order need not be a score of 0.5.": replaced(2, lambda labels, score: np.argsort(score)[len(score) // 2 - 200 :]),
        "These are the most confidently right jets: a small distance from the label is right.": replaced(3, lambda labels, score: np.argsort(np.abs(score - labels))),
        "These are QCD jets only. A top with a score near 0 is as wrong as a QCD jet with one near 1.": replaced(3, among(0, np.negative)),
        "These are tops only. A QCD jet with a score near 1 is as wrong as a top with one near 0.": replaced(3, among(1, np.positive)),
        "These are positions among the QCD jets, not in the whole array. Sort the whole array by the distance from the label.": replaced(3, lambda labels, score: np.argsort(-score[labels == 0])),
        "These are the wrong jets that are least certain. Confidently wrong is far from the label.": replaced(3, lambda labels, score: np.argsort(np.where(np.abs(score - labels) > 0.5, np.abs(score - labels), 1))),
        "These are scores; positions are wanted, np.argsort instead of np.sort.": lambda *jets: [jets[1][group] for group in pick(*jets)],
        "These are masks, True and False; positions are wanted, np.argsort(...)[:n].": lambda *jets: [np.isin(np.arange(len(jets[0])), group) for group in pick(*jets)],
        "The order is reversed: the most extreme comes first.": lambda *jets: [group[::-1] for group in pick(*jets)],
        "These are the right jets in another order.": lambda *jets: [np.sort(group) for group in pick(*jets)],
        "All jets came; the first n are wanted, [:n].": lambda labels, score, n: pick(labels, score, len(labels)),
        "they are no whole numbers": lambda *jets: np.array(pick(*jets), dtype=float),
        "pick should return the array of the most top-like jets and the array of": lambda *jets: pick(*jets)[:3],
    },
    accepted=[
        lambda y, s, n: [np.array(sorted(range(len(s)), key=k.item)[:n]) for k in (-s, s, abs(s - 0.5), -abs(s - y))],
        lambda y, s, n: np.stack([np.argsort(k)[:n] for k in (-s, s, (s - 0.5) ** 2, -np.where(y, 1 - s, s))]),
    ],
)
def pick(labels, score, n):
    top_like, qcd_like = np.argsort(-score)[:n], np.argsort(score)[:n]
    uncertain = np.argsort(np.abs(score - 0.5))[:n]
    wrong = np.argsort(-np.abs(score - labels))[:n]
    return top_like, qcd_like, uncertain, wrong
