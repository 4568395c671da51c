"""Exercises of lesson 07: pixels, angles that wrap, a standard position, a convolutional network, what it learned."""

import re

import numpy as np

from coursekit.checks.engine import Mistake, call, describe, exercise, expect_close, fail

STUDY_SHAPE = (16, 22)

# --- references: what a good answer looks like ------------------------------------------------------------------------


def make_image(d_eta, d_phi, pt, eta_edges, phi_edges):
    return np.histogram2d(d_phi, d_eta, bins=(phi_edges, eta_edges), weights=pt)[0]


def relative(eta, phi, axis_eta, axis_phi):
    return eta - axis_eta, (phi - axis_phi + np.pi) % (2 * np.pi) - np.pi


def make_images(d_eta, d_phi, pt, counts, eta_edges, phi_edges):
    height, width = len(phi_edges) - 1, len(eta_edges) - 1
    row = np.searchsorted(phi_edges, d_phi, side="right") - 1
    column = np.searchsorted(eta_edges, d_eta, side="right") - 1
    jet = np.repeat(np.arange(len(counts)), counts)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixel = (jet * height + row) * width + column
    summed = np.bincount(pixel[inside], pt[inside], minlength=len(counts) * height * width)
    return summed.reshape(len(counts), height, width)


def padded_integers(windows):
    _, rows, columns = windows.shape
    shares = windows / windows.max(axis=(1, 2), keepdims=True)
    margins = ((0, 0), (1, STUDY_SHAPE[0] - rows - 1), (1, STUDY_SHAPE[1] - columns - 1))
    return np.pad(np.rint(255 * shares).astype(np.uint8), margins)


def upright(eta, phi, pt):
    eta, phi = eta - np.average(eta, weights=pt), phi - np.average(phi, weights=pt)
    alpha = np.arctan2(2 * np.sum(pt * eta * phi), np.sum(pt * (eta**2 - phi**2))) / 2
    cos, sin = np.cos(np.pi / 2 - alpha), np.sin(np.pi / 2 - alpha)
    return eta * cos - phi * sin, eta * sin + phi * cos


def mirrored(eta, phi, pt):
    signs = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    bright = [pt[(a * eta > 0) & (b * phi > 0)].sum() for a, b in signs]
    a, b = signs[np.argmax(bright)]
    return a * eta, b * phi


def cnn(keras):
    """Return the reference of 7.7; Keras comes from the lesson, since nothing here may import it."""
    layers = keras.layers

    def network(shape, filters, dense):
        def convolution(n):
            return layers.Conv2D(n, 3, padding="same", activation="relu")

        return keras.Sequential(
            [
                keras.Input(shape),
                convolution(filters),
                convolution(filters),
                layers.MaxPooling2D(2),
                convolution(2 * filters),
                convolution(2 * filters),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(dense, activation="relu"),
                layers.Dropout(0.5),
                layers.Dense(1, activation="sigmoid", dtype="float32"),
            ]
        )

    return network


def best_epoch(history):
    return int(np.argmin(history["val_loss"])) + 1


def rejection_at(labels, score, efficiency):
    threshold = np.quantile(score[labels == 1], 1 - efficiency)
    return 1 / np.mean(score[labels == 0] >= threshold)


def pick(labels, score, n):
    return (
        np.argsort(-score)[:n],
        np.argsort(score)[:n],
        np.argsort(np.abs(score - 0.5))[:n],
        np.argsort(-np.abs(score - labels))[:n],
    )


# --- jets to try answers on -------------------------------------------------------------------------------------------


def _constituents(rng, n, spread=0.4):
    """Return (eta, phi, pt) of one jet about the origin, harder towards its centre, no two alike."""
    eta, phi = rng.normal(0, spread, (2, n))
    return eta, phi, rng.exponential(20, n) + 60 * np.exp(-8 * (eta**2 + phi**2)) + 1


def _parts(answer, n: int, name: str, what: str) -> tuple:
    """Return the n things that an answer unpacks into, whether it is a tuple, a list or an array."""
    try:
        parts = tuple(answer)
    except TypeError:
        parts = ()
    if len(parts) != n or isinstance(answer, str | dict | set):
        fail(f"{name} should return {what}; what came is {describe(answer)}.")
    return parts


def _places(eta, phi, eta_edges, phi_edges):
    """Return row and column of each constituent, those of what lies outside, too."""
    return (np.searchsorted(edges, x, side="right") - 1 for edges, x in ((phi_edges, phi), (eta_edges, eta)))


def _inside(row, column, shape):
    return (row >= 0) & (row < shape[-2]) & (column >= 0) & (column < shape[-1])


ONLY_LAST = (
    "A pixel with several constituents keeps only one: `images[...] += pt` with arrays as indices adds once where an "
    "index comes twice, and `= pt` overwrites. np.add.at, np.bincount and np.histogram2d add up all."
)


def _close(got, right) -> bool:
    return np.shape(got) == np.shape(right) and np.allclose(got, right, rtol=1e-5, atol=1e-7)


# --- tests ------------------------------------------------------------------------------------------------------------


@exercise(
    "7.1",
    "the image of one jet",
    hints=(
        "np.histogram2d(x, y, bins=(x_edges, y_edges), weights=...) returns the sums first and then both edges.",
        "Its first argument makes the rows of the result, the second the columns.",
        "np.histogram2d(d_phi, d_eta, bins=(phi_edges, eta_edges), weights=pt)[0]",
    ),
    reference=lambda: make_image,
)
def _(function):
    rng = np.random.default_rng(71)
    eta, phi, pt = _constituents(rng, 60, spread=0.5)
    for eta_edges, phi_edges in (
        (np.linspace(-0.8, 0.8, 9), np.linspace(-0.8, 0.8, 9)),
        (np.linspace(-0.9, 0.6, 6), np.linspace(-0.6, 0.8, 8)),
    ):
        right = make_image(eta, phi, pt, eta_edges, phi_edges)
        answer = call(function, eta, phi, pt, eta_edges, phi_edges, name="make_image")
        if isinstance(answer, tuple):
            fail("np.histogram2d returns three things, the sums and the edges twice. The image is the first: [0].")
        at_border = make_image(
            np.clip(eta, eta_edges[0], eta_edges[-1]), np.clip(phi, phi_edges[0], phi_edges[-1]), pt, eta_edges,
            phi_edges,
        )  # fmt: skip
        own_grid = np.histogram2d(phi, eta, bins=right.shape, weights=pt)[0]
        numbers = make_image(eta, phi, np.ones_like(pt), eta_edges, phi_edges)
        row, column = _places(eta, phi, eta_edges, phi_edges)
        inside = _inside(row, column, right.shape)
        last = np.zeros_like(right)
        last[row[inside], column[inside]] = pt[inside]
        expect_close(
            "the image",
            answer,
            right,
            mistakes={
                "The axes are swapped: rows are phi and columns are eta, as a picture is drawn. The first argument of "
                "np.histogram2d makes the rows.": right.T,
                "eta and phi are exchanged: the rows are phi and the columns are eta.": make_image(
                    phi, eta, pt, eta_edges, phi_edges
                ),
                ONLY_LAST: last,
                "The edges are exchanged: those of phi belong to phi.": _or_nan(
                    lambda e=eta_edges, p=phi_edges: np.histogram2d(phi, eta, bins=(e, p), weights=pt)[0]
                ),
                "This counts constituents. Each pixel is the sum of their pT: weights=pt.": numbers,
                "This counts constituents, and the axes are swapped.": numbers.T,
                "The window is on the wrong grid: with a number of bins the pixels reach from the first to the last "
                "constituent of this very jet, so that each jet has a grid of its own. Pass the edges.": own_grid,
                "The window is on the wrong grid, one for each jet, and the axes are swapped. Pass the "
                "edges.": own_grid.T,
                "The rows run from the top. Row 0 holds the smallest phi; imshow(..., origin='lower') draws it at the "
                "bottom.": right[::-1],
                "What lies outside the window was moved to its border. It is dropped.": at_border,
                "This is a density, divided by the area of a pixel and by the sum.": right
                / right.sum()
                / np.outer(np.diff(phi_edges), np.diff(eta_edges)),
                "This is already normalised; the image is in GeV.": right / right.sum(),
            },
        )


@exercise(
    "7.2",
    "distances from the axis, the azimuth wrapped",
    hints=(
        "Only phi is an angle round the beam: from 3.1 to -3.1 it is 0.08, not -6.2.",
        "(x + np.pi) % (2 * np.pi) - np.pi brings any x between -pi and pi.",
        "return eta - axis_eta, (phi - axis_phi + np.pi) % (2 * np.pi) - np.pi",
    ),
    reference=lambda: relative,
)
def _(function):
    rng = np.random.default_rng(72)
    axis_phi = np.repeat([3.05, -3.1, 0.4, -1.3], 12)
    axis_eta = np.repeat([3.6, -3.7, 0.3, 1.1], 12)  # far forward, so that an eta that is wrapped shows
    eta, phi = axis_eta + rng.normal(0, 0.4, 48), axis_phi + rng.normal(0, 0.4, 48)
    eta[:2] += (3.5, -7.4)  # opposite sides of a detector can be this far apart
    far = np.array([0.5, 2.0, 2.6, 3.0, -2.0, -3.0])  # the first one lies across the edge
    for first, sign in ((0, 1), (12, -1), (24, 1), (36, -1)):
        phi[first : first + 6] = axis_phi[first] + sign * far
    phi = (phi + np.pi) % (2 * np.pi) - np.pi
    answer = call(function, eta, phi, axis_eta, axis_phi, name="relative")
    got = _parts(answer, 2, "relative", "two arrays, the distances in eta and in phi")
    d_eta, d_phi = relative(eta, phi, axis_eta, axis_phi)
    raw = phi - axis_phi
    pair = [np.asarray(part, dtype=float) if np.shape(part) == eta.shape else None for part in got]
    if pair[0] is not None and pair[1] is not None and _close(pair[0], d_phi) and _close(pair[1], d_eta):
        fail("the two are exchanged: first the distance in eta.")
    wrap = (d_eta + np.pi) % (2 * np.pi) - np.pi
    expect_close(
        "the distance in eta",
        got[0],
        d_eta,
        mistakes={
            "The sign is reversed: constituent minus axis, or the picture is mirrored.": -d_eta,
            "eta was wrapped, too. It is no angle: the detector does not close there.": wrap,
            "This is eta itself; subtract that of the axis.": eta,
            "This is the absolute value: left and right of the axis are lost.": np.abs(d_eta),
        },
    )
    expect_close(
        "the distance in phi",
        got[1],
        d_phi,
        mistakes={
            "phi is not wrapped: what lies across +-pi seems 6 away, and falls out of the picture. It is the "
            "difference that must lie between -pi and pi.": raw,
            "The sign is reversed: constituent minus axis, or the picture is mirrored.": -d_phi,
            "Differences above pi are wrapped, those below -pi are not.": np.where(raw > np.pi, raw - 2 * np.pi, raw),
            "Differences below -pi are wrapped, those above pi are not.": np.where(raw < -np.pi, raw + 2 * np.pi, raw),
            "phi is wrapped with period pi. A full turn is 2 pi.": (raw + np.pi / 2) % np.pi - np.pi / 2,
            "np.arcsin knows only -pi/2 ... pi/2, and folds back what lies beyond.": np.arcsin(np.sin(raw)),
            "np.unwrap takes the constituents for the steps of a path: it asks how far each is from the one before. "
            "Wrap each difference by itself.": np.unwrap(raw),
            "phi is wrapped to 0 ... 2 pi, where what lies a little below the axis seems almost a turn away. Wrap to "
            "-pi ... pi.": raw % (2 * np.pi),
            "This is the absolute value: above and below the axis are lost.": np.abs(d_phi),
            "These are degrees; the lesson goes on in radians.": np.degrees(d_phi),
            "Some are a whole turn off: whatever lies beyond pi or -pi must be wrapped, 4 as well as 6.": pair[1]
            if pair[1] is not None and np.allclose(np.cos(pair[1] - d_phi), 1, atol=1e-9)
            else np.nan,
        },
    )


@exercise(
    "7.3",
    "the images of all jets without a loop",
    hints=(
        "Four numbers for each constituent: its jet, its row, its column, and whether it is inside.",
        "np.repeat(np.arange(len(counts)), counts) is the jet; np.searchsorted(phi_edges, d_phi, side='right') - 1 "
        "the row.",
        "pixel = (jet * height + row) * width + column numbers all pixels of all images; keep the constituents inside, "
        "and let np.bincount add up their pT with minlength=len(counts) * height * width.",
    ),
    reference=lambda: make_images,
)
def _(function):
    rng = np.random.default_rng(73)
    for eta_edges, phi_edges in (
        (np.linspace(-0.5, 0.7, 5), np.linspace(-0.6, 0.4, 4)),
        (np.linspace(-0.6, 0.6, 6), np.linspace(-0.6, 0.6, 6)),
    ):
        counts = np.array([0, 7, 1, 12, 0, 9, 3, 0])
        eta, phi, pt = _constituents(rng, counts.sum(), spread=0.5)
        eta[-3:], phi[-3:] = 2.0, -0.55  # this jet lies outside and gives an empty image
        given = (eta, phi, pt, counts, eta_edges, phi_edges)
        right = make_images(*given)
        n, height, width = right.shape
        jet = np.repeat(np.arange(n), counts)
        row, column = _places(eta, phi, eta_edges, phi_edges)
        pixel = (jet * height + row) * width + column

        def filled(pixel, weights=pt, size=right.size, shape=right.shape):
            kept = (pixel >= 0) & (pixel < size)
            return np.bincount(pixel[kept], weights[kept], minlength=size).reshape(shape)

        try:
            answer = call(function, *given, name="make_images")
            size = np.size(answer) if np.ndim(answer) == 1 else 0
        except Mistake as mistake:
            found = re.search(r"cannot reshape array of size (\d+) into", str(mistake))
            size = int(found[1]) if found else 0
            if not 0 < size < right.size:
                raise
        if 0 < size < right.size:
            fail(
                f"there are {size} pixels, expected {right.size}: np.bincount ends with the last pixel that "
                "holds something. minlength=len(counts) * height * width keeps the empty ones behind it."
            )

        inside = _inside(row, column, right.shape)
        low, high = (row >= 0) & (column >= 0), (row < height) & (column < width)
        wrapped = np.zeros_like(right)
        np.add.at(wrapped, (jet[high], row[high], column[high]), pt[high])
        last = np.zeros_like(right)
        last[jet[inside], row[inside], column[inside]] = pt[inside]
        swapped = make_images(phi, eta, pt, counts, phi_edges, eta_edges)
        shifted = filled(np.where(inside, pixel + height * width, -1))
        of_place = np.arange(counts.sum()) % n
        transposed = filled(np.where(inside, (jet * width + column) * height + row, -1))
        clipped = make_images(
            np.clip(eta, eta_edges[0], eta_edges[-1] - 1e-9), np.clip(phi, phi_edges[0], phi_edges[-1] - 1e-9), pt,
            counts, eta_edges, phi_edges,
        )  # fmt: skip
        expect_close(
            "the array of images",
            answer,
            right,
            mistakes={
                ONLY_LAST: last,
                "The last jet has no constituents, and its image is missing: there are len(counts) images, not "
                "jet.max() + 1.": right[:-1],
                "Only the rows were looked at. What lies outside in eta must be dropped, too.": filled(
                    np.where((row >= 0) & (row < height), pixel, -1)
                ),
                "Only the columns were looked at. What lies outside in phi must be dropped, too.": filled(
                    np.where((column >= 0) & (column < width), pixel, -1)
                ),
                "What lies behind the last edge was not dropped: row < height and column < width.": filled(
                    np.where(low, pixel, -1)
                ),
                "What lies before the first edge was not dropped: row >= 0 and column >= 0.": filled(
                    np.where(high, pixel, -1)
                ),
                "What lies before the first edge was not dropped: for NumPy, row -1 is the last one.": wrapped,
                "The pixels are numbered by (jet * width + row) * height + column. A jet has height rows of width "
                "pixels: (jet * height + row) * width + column.": filled(
                    np.where(inside, (jet * width + row) * height + column, -1)
                ),
                "eta and phi are exchanged: the rows are phi and the columns are eta.": make_images(
                    phi, eta, pt, counts, eta_edges, phi_edges
                ),
                "What lies outside was not dropped: a column of -1 or one too many is a pixel of the row before or "
                "after, and a row too many one of the next jet.": filled(pixel),
                "What lies outside the window was moved to its border. It is dropped.": clipped,
                "The axes are swapped: rows are phi, columns are eta.": swapped,
                "The pixels are numbered by (jet * width + column) * height + row. The last axis, which runs fastest, "
                "are the columns: (jet * height + row) * width + column.": transposed,
                "This counts constituents. Each pixel is the sum of their pT: the second argument of "
                "np.bincount.": filled(np.where(inside, pixel, -1), np.ones_like(pt)),
                "Row and column are one too large: np.searchsorted and np.digitize count from 1 what lies behind the "
                "first edge. Subtract 1.": filled(
                    np.where((row + 1 < height) & (column + 1 < width), pixel + width + 1, -1)
                ),
                "The jets are numbered from 1, so that each image holds the constituents of the jet before.": shifted,
                "The jet of a constituent is wrong: repeat the number of each jet as often as it has constituents, "
                "np.repeat(np.arange(len(counts)), counts).": filled(
                    np.where(inside, (of_place * height + row) * width + column, -1)
                ),
                "These are the images; give them the shape (jets, rows, columns).": right.ravel(),
            },
        )


def _or_nan(compute):
    try:
        return compute()
    except ValueError:
        return np.nan


@exercise(
    "7.4",
    "windows padded to 16 x 22, in integers up to 255",
    hints=(
        "Two steps: the brightest pixel of each window becomes 255; then zeros all round.",
        "windows.max(axis=(1, 2), keepdims=True) is the brightest pixel of each; np.rint rounds, "
        ".astype(np.uint8) makes integers.",
        "np.pad(images, ((0, 0), (1, 16 - rows - 1), (1, 22 - columns - 1))): nothing along the jets, one row and one "
        "column of zeros in front, the rest behind.",
    ),
    reference=lambda: padded_integers,
)
def _(function):
    rng = np.random.default_rng(74)
    for rows in (14, 13):
        windows = rng.exponential(8, (5, rows, 20)) * (rng.random((5, rows, 20)) < 0.3)
        windows *= np.array([1, 3, 0.4, 7, 2])[:, None, None]
        windows[0] += 2  # a window without an empty tower
        windows[:, 6, 9] += 300  # more than a byte holds, in every jet
        right = padded_integers(windows)
        behind = ((0, 0), (0, 16 - rows), (0, 2))
        before = ((0, 0), (16 - rows, 0), (2, 0))
        inner = right[:, 1 : rows + 1, 1:21]
        shares = windows / windows.max(axis=(1, 2), keepdims=True)
        outside = ((0, 0), (1, 15 - rows), (1, 1))
        with np.errstate(invalid="ignore"):
            overflow = np.rint(256 * shares).astype(np.int64).astype(np.uint8)
            of_bytes = windows.astype(np.int64).astype(np.uint8)
            early = np.rint(255 * (of_bytes / of_bytes.max(axis=(1, 2), keepdims=True)))
        answer = call(function, windows, name="padded_integers")
        if np.ndim(answer) == 3 and len(answer) > len(windows):
            fail(
                f"{len(answer)} images came of {len(windows)} windows: np.pad put empty jets in front and behind. The "
                "first pair of its margins, that of the jets, is (0, 0)."
            )
        batch = np.rint(255 * (windows / windows.max()))
        least = windows.min(axis=(1, 2), keepdims=True)
        stretched = np.rint(255 * ((windows - least) / (windows.max(axis=(1, 2), keepdims=True) - least)))
        by_sum = np.rint(255 * (windows / windows.sum(axis=(1, 2), keepdims=True)))
        expect_close(
            "the array of images",
            answer,
            right,
            mistakes={
                "The padding is on one side: all zeros come behind. The window begins at row 1 and column 1.": np.pad(
                    inner, behind
                ),
                "The padding is on one side: all zeros come in front. The window begins at row 1 and column 1.": np.pad(
                    inner, before
                ),
                "This is normalised over the batch: 255 is the brightest pixel of all jets, so that the picture of a "
                "jet depends on which others came along. Divide each by its own.": np.pad(batch, outside),
                "The faintest tower was subtracted. Only nothing is 0: divide by the brightest pixel.": np.pad(
                    stretched, outside
                ),
                "Each jet is divided by its sum. It is the brightest pixel that becomes 255.": np.pad(by_sum, outside),
                "The numbers were cut off, not rounded: np.rint first, then .astype.": np.pad(
                    np.floor(255 * shares), outside
                ),
                "The brightest pixel is 0: a byte holds 0 to 255, and 256 begins again at 0.": np.pad(
                    overflow, outside
                ),
                "They became bytes too early: 300 GeV do not fit into a byte, and what is too large begins again at 0. "
                "Scale first.": np.pad(early, outside),
                "These are shares between 0 and 1, in integers mostly zero. Multiply by 255.": np.pad(
                    np.rint(shares), outside
                ),
                "These are shares between 0 and 1; integers up to 255 are wanted.": np.pad(shares, outside),
                "The images are right but for rows and columns: 16 rows of phi, 22 columns of eta.": right.swapaxes(
                    1, 2
                ),
                "The numbers are right; the zeros round them are missing.": inner,
            },
            atol=1e-6,
        )
        if np.asarray(answer).dtype != np.uint8:
            fail(
                f"the numbers are right, but they are {np.asarray(answer).dtype}: .astype(np.uint8) makes one byte of "
                "each, an eighth of the memory of 64-bit integers."
            )


@exercise(
    "7.5",
    "a jet centred and turned upright",
    hints=(
        "Three steps: subtract the mean positions, np.average(eta, weights=pt); compute alpha; turn by pi/2 - alpha.",
        "A point turned by an angle a has the coordinates eta cos a - phi sin a and eta sin a + phi cos a: both from "
        "the old eta and phi.",
        "alpha = np.arctan2(2 * np.sum(pt * eta * phi), np.sum(pt * (eta**2 - phi**2))) / 2",
    ),
    reference=lambda: upright,
)
def _(function):
    rng = np.random.default_rng(75)
    for angle in (0.5, 1.9, 2.7):
        long, short, pt = _constituents(rng, 40, spread=0.3)
        eta = 0.3 + long * np.cos(angle) - 0.3 * short * np.sin(angle)
        phi = -0.2 + long * np.sin(angle) + 0.3 * short * np.cos(angle)
        right = upright(eta, phi, pt)
        answer = call(function, eta, phi, pt, name="upright")
        got = _parts(answer, 2, "upright", "two arrays, eta and phi")
        for part in got:
            if np.shape(part) != eta.shape:
                fail(f"upright should return two arrays of {len(eta)} numbers; what came is {describe(part)}.")
        got = np.asarray(got, dtype=float)
        if n_nan := int(np.isnan(got).sum()):
            fail(
                f"{n_nan} of the {got.size} numbers are NaN, which is what 0/0 or the square root of less than 0 gives."
            )
        if _same_axis(got, right):
            continue
        at = (eta - np.average(eta, weights=pt), phi - np.average(phi, weights=pt))
        alpha = _angle(*at, pt)
        cos, sin = np.cos(np.pi / 2 - alpha), np.sin(np.pi / 2 - alpha)
        overwritten = at[0] * cos - at[1] * sin
        plain = (eta - eta.mean(), phi - phi.mean())
        hardest = (eta - eta[np.argmax(pt)], phi - phi[np.argmax(pt)])
        with np.errstate(all="ignore"):
            half = np.arctan(2 * np.sum(pt * at[0] * at[1]) / np.sum(pt * (at[0] ** 2 - at[1] ** 2))) / 2
            exchanged = np.arctan2(np.sum(pt * (at[0] ** 2 - at[1] ** 2)), 2 * np.sum(pt * at[0] * at[1])) / 2
        mistakes = {
            "The two are exchanged: first eta, then phi.": right[::-1],
            "The arguments of np.arctan2 are exchanged: first the sum of eta times phi, then the difference.": _turned(
                *at, np.pi / 2 - exchanged
            ),
            "np.arctan does not know the quadrant: some jets lie down instead of standing up. "
            "np.arctan2(2 * sum, difference).": _turned(*at, np.pi / 2 - half),
            "It is turned by the wrong sign: alpha - pi/2 instead of pi/2 - alpha, so that a jet that leans to the "
            "right leans to the left.": _turned(*at, alpha - np.pi / 2),
            "The axis lies along eta: turned by -alpha it comes down to the horizontal. Turn by pi/2 - alpha.": _turned(
                *at, -alpha
            ),
            "It is turned by alpha. That is where the axis is; to bring it up, turn by pi/2 - alpha.": _turned(
                *at, alpha
            ),
            "It is turned by the wrong amount: alpha is half of the arctan2.": _turned(*at, np.pi / 2 - 2 * alpha),
            "phi was computed from the new eta. Both formulas need the old one: give the new coordinates other names, "
            "or return them at once.": (overwritten, overwritten * sin + at[1] * cos),
            "It is centred, but not turned.": at,
            "It is turned about the jet axis: the mean position was not subtracted.": _turned(
                eta, phi, np.pi / 2 - _angle(eta, phi, pt)
            ),
            "The mean position was subtracted, but the angle is that of the jet before.": _turned(
                *at, np.pi / 2 - _angle(eta, phi, pt)
            ),
            "The centre is the mean of the constituents, soft and hard alike. Weight it with pT.": _turned(
                *plain, np.pi / 2 - _angle(*plain, pt)
            ),
            "pT is in neither sum: soft and hard constituents count the same.": _turned(
                *plain, np.pi / 2 - _angle(*plain, np.ones_like(pt))
            ),
            "The angle was computed without pT: soft and hard constituents count the same.": _turned(
                *at, np.pi / 2 - _angle(*at, np.ones_like(pt))
            ),
            "The centre is the hardest constituent. It is the mean position, weighted with pT.": _turned(
                *hardest, np.pi / 2 - _angle(*hardest, pt)
            ),
            "It is mirrored, not turned: a rotation has cos, -sin in its first row and sin, cos in its second.": (
                -right[0],
                right[1],
            ),
        }
        for sentence, wrong in mistakes.items():
            if _same_axis(got, wrong):
                fail(sentence)
        centre = np.average(got, axis=1, weights=pt)
        if np.abs(centre).max() > 1e-6:
            fail(
                f"the mean position, weighted with pT, is ({centre[0]:.3f}, {centre[1]:.3f}) afterwards, expected "
                "(0, 0)."
            )
        if not np.allclose(np.hypot(*got), np.hypot(*right), rtol=1e-5):
            fail("the distances from the centre have changed: a rotation keeps them.")
        lean = np.degrees(-_angle(*got, pt)) % 180 - 90  # an axis has two ends
        fail(f"the principal axis makes an angle of {lean:.0f} degrees with the vertical afterwards, expected 0.")


def _angle(eta, phi, pt) -> float:
    return np.arctan2(2 * np.sum(pt * eta * phi), np.sum(pt * (eta**2 - phi**2))) / 2


def _turned(eta, phi, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return eta * cos - phi * sin, eta * sin + phi * cos


def _same_axis(got, right) -> bool:
    """Whether two positions agree; an axis has no head, so half a turn more is as good."""
    right = np.asarray(right)
    return np.allclose(got, right, rtol=1e-5, atol=1e-7) or np.allclose(got, -right, rtol=1e-5, atol=1e-7)


@exercise(
    "7.6",
    "a jet mirrored so that its brightest quadrant is the upper right",
    hints=(
        "Four sums of pT, one for each quadrant: pt[(eta > 0) & (phi > 0)].sum() is that of the upper right.",
        "If the brightest lies on the left, change the sign of eta; if it lies below, that of phi.",
        "signs = [(1, 1), (-1, 1), (-1, -1), (1, -1)]; the brightest is np.argmax of "
        "pt[(a * eta > 0) & (b * phi > 0)].sum() for a, b in signs; return a * eta, b * phi.",
    ),
    reference=lambda: mirrored,
)
def _(function):
    # Numbers of constituents and sums of pT in the quadrants, counter-clockwise from the upper right. The third jet is
    # brighter on the right and brighter above, and yet its brightest quadrant is the upper left; the hardest
    # constituent of each lies elsewhere.
    rng = np.random.default_rng(76)
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    came, jets, sums_of = [], [], []
    for n, sums in (
        ((6, 9, 7, 5), (100, 150, 120, 90)),
        ((9, 5, 5, 8), (120, 70, 90, 160)),
        ((5, 9, 4, 7), (100, 120, 20, 110)),
        ((4, 6, 9, 5), (90, 60, 170, 80)),
        ((8, 5, 6, 4), (180, 90, 60, 100)),
        ((7, 5, 3, 8), (90, 160, 100, 80)),
    ):
        eta, phi = rng.uniform(0.05, 0.7, (2, sum(n))) * np.repeat(signs, n, axis=0).T
        parts = [rng.uniform(0.5, 1.5, k) for k in n]
        parts[int(np.argmin(sums))][0] += 30  # one hard constituent takes most of its quadrant's pT
        pt = np.concatenate([total * part / part.sum() for total, part in zip(sums, parts, strict=True)])
        order = rng.permutation(len(pt))
        eta, phi, pt = eta[order], phi[order], pt[order]
        got = _parts(call(function, eta, phi, pt, name="mirrored"), 2, "mirrored", "two arrays, eta and phi")
        if any(np.shape(part) != eta.shape for part in got):
            fail(f"mirrored should return two arrays of {len(eta)} numbers; what came is {describe(got[0])}.")
        ratio = np.asarray(got, dtype=float) / (eta, phi)
        if not np.allclose(np.abs(ratio), 1):
            fail("eta and phi may only change their signs, all of one jet in the same way.")
        if np.ptp(ratio, axis=1).max() > 1:
            fail(
                "single constituents were mirrored: the picture is folded. The whole jet gets one sign for eta and one "
                "for phi."
            )
        came.append(ratio[:, 0].round().astype(int))
        jets.append((eta, phi, pt))
        sums_of.append(sums)
    right = signs[np.argmax(sums_of, axis=1)]
    if np.array_equal(came, right):
        return

    def halves(weight):
        return [[1 if (x * weight(pt)).sum() >= 0 else -1 for x in np.sign((eta, phi))] for eta, phi, pt in jets]

    def quadrants(value, best=np.argmax):
        return [signs[best([value(pt[(a * eta > 0) & (b * phi > 0)]) for a, b in signs])] for eta, phi, pt in jets]

    mistakes = {
        "It follows the brighter half, right or left, upper or lower, each by itself. The brightest quadrant can be "
        "another one.": halves(lambda pt: pt),
        "It follows the fuller half, right or left, upper or lower. The brightest quadrant is that with the largest "
        "sum of pT.": halves(np.ones_like),
        "It follows the hardest constituent. The brightest quadrant is that with the largest sum of pT.": quadrants(
            np.max
        ),
        "The quadrant with the most constituents was taken, not that with the largest sum of pT.": quadrants(len),
        "The quadrant with the largest mean pT was taken, not that with the largest sum.": quadrants(np.mean),
        "The faintest quadrant was taken: np.argmin for np.argmax.": quadrants(np.sum, np.argmin),
        "Nothing was mirrored.": np.ones_like(right),
        "Only eta was mirrored; the brightest quadrant must go up, too.": right * [1, 0] + [0, 1],
        "Only phi was mirrored; the brightest quadrant must go to the right, too.": right * [0, 1] + [1, 0],
        "The brightest quadrant was sent to the lower left.": -right,
        "The brightest quadrant was sent to the upper left.": right * [-1, 1],
        "The brightest quadrant was sent to the lower right.": right * [1, -1],
    }
    for sentence, wrong in mistakes.items():
        if np.array_equal(came, wrong):
            fail(sentence)
    jet = int(np.argmax(np.any(np.array(came) != right, axis=1)))
    fail(
        f"a jet whose quadrants have {sums_of[jet]} GeV, counter-clockwise from the upper right, was multiplied by "
        f"{tuple(came[jet].tolist())} in (eta, phi), expected {tuple(right[jet].tolist())}."
    )


@exercise(
    "7.7",
    "a convolutional network",
    hints=(
        'layers.Conv2D(filters, 3, padding="same", activation="relu") is one convolution; a pair is two of them and '
        "layers.MaxPooling2D(2).",
        "Eleven lines: input, the first pair, pooling, the second pair with 2 * filters, pooling, layers.Flatten(), a "
        "dense layer with ReLU, layers.Dropout(0.5), the output.",
        'The last line is layers.Dense(1, activation="sigmoid", dtype="float32").',
    ),
    reference=lambda *, keras: cnn(keras),
)
def _(function, *, keras):
    rng = np.random.default_rng(77)
    for shape, filters, dense in (((20, 24, 1), 3, 10), ((16, 8, 2), 2, 7)):
        model = _built(function, shape, filters, dense)
        if not model.built:
            fail("`shape` is not used: the network begins with keras.Input(shape).")
        x = rng.exponential(1.0, (64, *shape)).astype(np.float32)
        if tuple(getattr(model, "input_shape", (None, *shape))[1:]) != shape:
            fail(
                f"cnn({shape}, {filters}, {dense}) takes images of {model.input_shape[1:]}. The network should take "
                "whatever `shape` says: keras.Input(shape)."
            )
        found = _with_activations(model)
        _check_convolutions(found, filters)
        if found[-1][0] == "Dense" and (names := found[-1][2]) and "softmax" not in names:
            if names.count("sigmoid") > 1:
                fail("the sigmoid is applied twice: no score is below 0.5 or above 0.73. Once is enough.")
            if names != ["sigmoid"]:
                fail(f"the activation of the output is {' and '.join(names)}, expected sigmoid.")
        _check_output(*(_outputs(keras, call(model, part, name="the network")) for part in (x, 1e4 * x)))
        _check_dense(found, dense)
        height, width, channels = shape
        flat = (height // 4) * (width // 4) * 2 * filters
        expected = (9 * channels + 1) * filters + (9 * filters + 1) * (filters + 2 * filters)
        expected += (18 * filters + 1) * 2 * filters + (flat + 1) * dense + dense + 1
        if (got := model.count_params()) != expected:
            fail(f"cnn({shape}, {filters}, {dense}) has {got} parameters, expected {expected}.")
    _check_precision(function, keras)


def _built(function, shape, filters, dense):
    try:
        model = function(shape, filters, dense)
    except Exception as error:
        if "ndim=3" in str(error) or "ndim=5" in str(error):
            fail(
                "Keras found images of the wrong number of axes: is the channel axis forgotten, or there twice? A "
                "picture is (rows, columns, channels), and `shape` has all three: keras.Input(shape)."
            )
        if "negative dimension" in str(error).lower() or "empty output" in str(error).lower():
            fail(
                f'a picture of {shape} has nothing left at the end: the convolutions need padding="same", the poolings '
                "are layers.MaxPooling2D(2)."
            )
        model = call(function, shape, filters, dense, name="cnn")  # with the usual message
    if not hasattr(model, "layers") or not callable(model):
        came = describe(model) if model is not None else "None; did you forget a `return`?"
        fail(f"cnn should return a keras.Sequential; what came is {came}")
    return model


def _check_output(p, p_large):
    """Tell from the outputs for ordinary and for very bright images whether each is one probability."""
    n = len(p)
    if p.shape == (n, 2):
        if p_large.min() > 0.26 and p_large.max() < 0.74:
            fail(
                "the softmax is applied twice: no score is below 0.27 or above 0.73, however bright the picture. And "
                "one output with a sigmoid is enough for two classes."
            )
        fail("the network has two outputs. Top and QCD exclude each other: one score, with a sigmoid, is enough.")
    if p.ndim > 2:
        fail(f"for {n} images the network gives an array of shape {p.shape}: before the dense layers comes a Flatten.")
    if p.shape != (n, 1):
        fail(f"for {n} images the network gives an array of shape {p.shape}, expected {(n, 1)}.")
    if np.allclose(p, 1, rtol=0, atol=1e-5):
        fail("every score is 1: the softmax of a single number is always 1. Use a sigmoid at the output.")
    if p_large.min() < 0 or p_large.max() > 1:
        fail(
            f"the scores of bright images reach from {p_large.min():.3g} to {p_large.max():.3g}, where 0 to 1 is "
            "expected: the sigmoid is missing at the output."
        )


def _with_activations(model) -> list:
    """Return (kind, layer, names of its activations), where an activation may be in the layer or a layer after it."""
    found = []
    for layer in model.layers:
        kind = type(layer).__name__
        function = getattr(layer, "activation", None)
        name = getattr(function, "__name__", type(function).__name__.lower())
        if kind in ("ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"):
            name = kind.lower()
            if kind == "ReLU" and (layer.max_value is not None or layer.negative_slope or layer.threshold):
                name = "a ReLU with settings of its own"
        elif kind != "Activation":
            if kind != "InputLayer":
                found.append((kind, layer, [] if function is None or name == "linear" else [name]))
            continue
        if found and name != "linear":
            found[-1][2].append(name)
    return found


def _check_convolutions(found, filters):
    kinds = [kind for kind, _, _ in found]
    convolutions = [layer for kind, layer, _ in found if kind == "Conv2D"]
    pools = [layer for kind, layer, _ in found if kind == "MaxPooling2D"]
    if len(convolutions) != 4:
        fail(f"the number of convolutions is {len(convolutions)}, expected 4: two pairs.")
    if any(tuple(layer.kernel_size) != (3, 3) for layer in convolutions):
        fail(f"the filters have {[tuple(layer.kernel_size) for layer in convolutions]} pixels, expected (3, 3).")
    if any(layer.padding != "same" for layer in convolutions):
        fail(
            'the pictures shrink: without padding="same" each convolution eats one row and one column on every side, '
            "and the border of the jet is seen less often than its centre."
        )
    for kind, _, names in found:
        if kind == "Conv2D" and not names:
            fail(
                'the convolutions have no activation: two of them in a row are one linear filter. activation="relu" in '
                "each."
            )
        if kind == "Conv2D" and set(names) != {"relu"}:
            fail(f"the activation of a convolution is {' and '.join(names)}, expected relu.")
    if (numbers := [layer.filters for layer in convolutions]) != [filters, filters, 2 * filters, 2 * filters]:
        fail(
            f"with filters={filters} the convolutions have {numbers} filters, expected "
            f"{[filters, filters, 2 * filters, 2 * filters]}."
        )
    if len(pools) != 2:
        fail(f"the number of poolings, layers.MaxPooling2D(2), is {len(pools)}, expected 2: one after each pair.")
    for layer in pools:
        if (sizes := (tuple(layer.pool_size), tuple(layer.strides))) != ((2, 2), (2, 2)):
            fail(f"the pooling takes {sizes[0]} pixels in steps of {sizes[1]}, expected (2, 2) and (2, 2).")
    if "Flatten" not in kinds:
        fail(
            "there is no layers.Flatten(): what is left of the picture must become one row of numbers without losing "
            "where it was."
        )
    for kind in kinds:
        if kind not in LAYERS:
            fail(f"there is a layer too many, {kind}. The network of the study does without.")
    if [kind for kind in kinds if kind in LAYERS[:3]] != LAYERS[:6]:
        fail("the first pooling comes after the first pair of convolutions, the second after the second pair.")


LAYERS = ["Conv2D", "Conv2D", "MaxPooling2D"] * 2 + ["Flatten", "Dense", "Dropout", "Dense"]


def _check_dense(found, dense):
    kinds = [kind for kind, _, _ in found]
    denses = [(layer.units, names) for kind, layer, names in found if kind == "Dense"]
    dropouts = [layer.rate for kind, layer, _ in found if kind == "Dropout"]
    if (units := [n for n, _ in denses]) != [dense, 1]:
        fail(f"the dense layers have {units} units, expected {[dense, 1]}.")
    if not (names := denses[0][1]):
        fail('the dense layer has no activation: activation="relu".')
    if set(names) != {"relu"}:
        fail(f"the activation of the dense layer is {' and '.join(names)}, expected relu.")
    if len(dropouts) != 1:
        fail(f"the number of dropouts is {len(dropouts)}, expected one layers.Dropout(0.5), in front of the output.")
    if abs(dropouts[0] - 0.5) > 1e-9:
        fail(f"the rate of the dropout is {dropouts[0]:g}, expected 0.5.")
    if kinds.index("Dropout") != len(kinds) - 2:
        fail("the dropout belongs between the dense layer and the output.")
    if kinds != LAYERS:
        fail(f"the layers are {', '.join(kinds)}, expected {', '.join(LAYERS)}.")


def _check_precision(function, keras):
    """See to it that the output stays in 32 bits where the layers before it compute in 16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = _built(function, (8, 8, 1), 2, 3)
    finally:
        keras.config.set_dtype_policy(before)
    if (precision := model.layers[-1].compute_dtype) not in ("float16", "float32"):
        fail(f'the last layer computes in {precision}, expected dtype="float32".')
    if precision == "float16":
        fail(
            f"on a GPU, where this lesson computes in half precision, the score would come in {precision}: above 0.999 "
            'it knows no third number between two neighbours, and its logarithm overflows. dtype="float32" in the '
            "last layer."
        )


def _outputs(keras, result) -> np.ndarray:
    return keras.ops.convert_to_numpy(result).astype(float)


@exercise(
    "7.8",
    "the epoch after which the network only learns by heart",
    hints=(
        "It is the epoch of the smallest validation loss.",
        "np.argmin gives the position, which begins at 0; the first epoch is epoch 1.",
    ),
    reference=lambda: best_epoch,
)
def _(function):
    history = {
        "loss": [0.61, 0.44, 0.39, 0.35, 0.33, 0.30, 0.27, 0.24, 0.22],
        "val_loss": [0.66, 0.46, 0.40, 0.41, 0.38, 0.37, 0.39, 0.42, 0.45],
    }
    other = {"loss": [0.5, 0.4, 0.3, 0.2], "val_loss": [0.52, 0.47, 0.48, 0.55]}
    for curves in (history, other):
        loss, validation = np.array(curves["loss"]), np.array(curves["val_loss"])
        right = best_epoch(curves)
        first_rise = int(np.argmax(np.diff(validation) > 0)) + 1
        answer = call(function, curves, name="best_epoch")
        mistakes = {
            "Epochs are counted from 1: np.argmin counts from 0.": right - 1,
            "This is the epoch of the largest validation loss: np.argmax for np.argmin. A loss is to be small.": int(
                np.argmax(validation)
            )
            + 1,
            "This is the largest validation loss (np.argmax for np.argmin), counted from 0.": int(
                np.argmax(validation)
            ),
            "This is the last epoch, where the training loss is smallest: of course, since the network is trained on "
            "these jets. Look at the validation loss.": len(loss),
            "This is the last epoch, where the training loss is smallest, counted from 0. Look at the validation "
            "loss.": len(loss) - 1,
            "The validation loss scatters and may fall again after it has risen once: take its smallest value of "
            "all.": first_rise,
            "This is the smallest loss itself; the epoch is wanted.": float(validation.min()),
        }
        expect_close("the epoch", answer, right, mistakes=mistakes)


@exercise(
    "7.9",
    "the background rejection at a signal efficiency",
    hints=(
        "Two steps: the threshold above which the share `efficiency` of the tops lies; then the share of QCD jets "
        "above it.",
        "The threshold is np.quantile(score[labels == 1], 1 - efficiency); the mean of a boolean array is a share.",
        "1 / np.mean(score[labels == 0] >= threshold)",
    ),
    reference=lambda: rejection_at,
)
def _(function):
    rng = np.random.default_rng(79)
    labels = (rng.random(12_000) < 0.7).astype(int)  # more tops than QCD jets: then it shows who sets the threshold
    score = 1 / (1 + np.exp(-rng.normal(2.2 * labels - 1.1, 1.3)))
    for efficiency in (0.6, 0.8):
        right = rejection_at(labels, score, efficiency)

        def passing(threshold):
            return np.mean(score[labels == 0] >= threshold)

        def quantile(values, share):
            return passing(np.quantile(values, share))

        background = 1 / right
        turned = quantile(score[labels == 1], efficiency)
        expect_close(
            f"at efficiency {efficiency}, the rejection",
            call(function, labels, score, efficiency, name="rejection_at"),
            right,
            mistakes={
                "This is 1/(1 - eps): one over the share of QCD jets that fail. The rejection is one over the share "
                "that passes.": 1 / (1 - background),
                "This is the background efficiency. The rejection is one over it.": background,
                "This is the share of QCD jets that fail. The rejection is one over the share that passes.": 1
                - background,
                "The threshold is a quantile of the background's scores: that fixes the share of QCD jets, not of "
                "tops. Use score[labels == 1].": 1 / quantile(score[labels == 0], 1 - efficiency),
                "The threshold is a quantile of the background's scores. Use score[labels == 1], and 1 - efficiency.": 1
                / quantile(score[labels == 0], efficiency),
                "The threshold is a quantile of all scores. The efficiency is a share of the tops: use "
                "score[labels == 1].": 1 / quantile(score, 1 - efficiency),
                "The threshold is the quantile `efficiency` of the tops' scores, which only the rest passes. It is the "
                "quantile 1 - efficiency.": 1 / turned,
                "The threshold is the efficiency itself. A score above 0.6 does not mean that 60% of the tops pass.": 1
                / passing(efficiency),
                "The share is one of all jets, tops included. Count the QCD jets alone.": 1
                / np.mean(score >= np.quantile(score[labels == 1], 1 - efficiency)),
                "This is QCD jets over all jets: divide by the number of QCD jets.": 1
                / (background * np.mean(labels == 0)),
                "This is one over the signal efficiency.": 1 / efficiency,
                "This is the rejection at 0.6, whatever is asked for. Use `efficiency`.": rejection_at(
                    labels, score, 0.6
                ),
            },
            rtol=0.01,
        )


@exercise(
    "7.10",
    "the most certain, uncertain and wrong jets",
    hints=(
        "np.argsort gives the positions in rising order: the first n of np.argsort(score) are the most QCD-like.",
        "With a minus in front the order is reversed: np.argsort(-score)[:n].",
        "Uncertain is a small distance from 0.5, wrong a large distance from the label: np.abs(score - labels).",
    ),
    reference=lambda: pick,
)
def _(function):
    rng = np.random.default_rng(710)
    labels = rng.integers(0, 2, 3000)
    score = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1.6)))
    labels[np.argsort(score)[[-2, 2]]] = (0, 1)  # a QCD jet among the most top-like, and the other way round
    n = 400  # so many that np.argpartition leaves them unsorted on every processor
    names = ("most top-like", "most QCD-like", "most uncertain", "most confidently wrong")
    answer = call(function, labels, score, n, name="pick")
    answer = _parts(answer, 4, "pick", f"four arrays of {n} positions")
    right = pick(labels, score, n)
    if np.array_equal(answer[0], right[1]) and np.array_equal(answer[1], right[0]):
        fail("the first two are exchanged, np.argmin for np.argmax: the score rises with the top, label 1.")
    if np.array_equal(answer[2], right[3]) and np.array_equal(answer[3], right[2]):
        fail("the last two are exchanged: first the most uncertain, then the most confidently wrong.")
    error, doubt = np.abs(score - labels), np.abs(score - 0.5)
    tops, background = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    keys = (-score, score, doubt, -error)
    only_qcd = background[np.argsort(-score[background])][:n]
    only_top = tops[np.argsort(score[tops])][:n]
    special = (
        {
            "These are the most top-like among the true tops. Take all jets: whether the network is right is another "
            "question.": tops[np.argsort(-score[tops])][:n],
            "These are positions among the tops, not in the whole array. Sort the whole array.": np.argsort(
                -score[tops]
            )[:n],
        },
        {
            "These are the most QCD-like among the true QCD jets. Take all jets.": background[
                np.argsort(score[background])
            ][:n],
            "These are positions among the QCD jets, not in the whole array. Sort the whole array.": np.argsort(
                score[background]
            )[:n],
        },
        {
            "These are the most QCD-like jets. A distance has no sign: np.abs(score - 0.5).": right[1],
            "These are the most certain jets. Uncertain is a score near 0.5: a small distance, not a large "
            "one.": np.argsort(-doubt)[:n],
            "These are jets in the middle of the order. The middle of the order need not be a score of "
            "0.5.": np.argsort(score)[len(score) // 2 - n // 2 : len(score) // 2 + n // 2],
        },
        {
            "These are the most confidently right jets: a small distance from the label is right.": np.argsort(error)[
                :n
            ],
            "These are QCD jets only. A top with a score near 0 is as wrong as a QCD jet with one near 1.": only_qcd,
            "These are tops only. A QCD jet with a score near 1 is as wrong as a top with one near 0.": only_top,
            "These are positions among the QCD jets, not in the whole array. Sort the whole array by the distance from "
            "the label.": np.argsort(-score[background])[:n],
            "These are the wrong jets that are least certain. Confidently wrong is far from the label.": np.argsort(
                np.where(error > 0.5, error, np.inf)
            )[:n],
        },
    )
    for name, got, expected, key, mistakes in zip(names, answer, right, keys, special, strict=True):
        if np.shape(got) == (n,) and _close(np.asarray(got, float), score[expected]):
            fail(f"the {name} jets come as scores; positions are wanted, np.argsort instead of np.sort.")
        if np.asarray(got).dtype == bool:
            fail(f"the {name} jets come as a mask, True and False; positions are wanted, np.argsort(...)[:n].")
        order = np.argsort(key)
        reversed_ = {f"The order is reversed: the {name} jet comes first.": expected[::-1]}
        if np.shape(got) == (n,) and np.array_equal(np.sort(got), np.sort(expected)):
            reversed_["These are the right jets in another order. The most extreme comes first."] = got
        if len(order) == np.size(got):
            fail(f"all {len(order)} jets came; the first n = {n} are wanted.")
        expect_close(f"the array of the {name} jets", got, expected, mistakes={**mistakes, **reversed_})
        if np.asarray(got).dtype.kind not in "iu":
            fail(f"the positions of the {name} jets are {np.asarray(got).dtype}; whole numbers are wanted.")
