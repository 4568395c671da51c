"""Exercises of lesson 12: signed tracks, defaults, factors, the choice of a training, D_b, and what C++ has to repeat."""

import math

import awkward as ak
import numpy as np
import pandas as pd
import scipy.special
import torch
from torch.nn import functional as F

from coursekit.checks import call, demands, describe, exercise, fail
from coursekit.checks.compare import Mistake

CLASSES = ("light", "c", "b")


def tracks_around_a_jet():
    rng = np.random.default_rng(121)
    error = rng.uniform(0.01, 0.09, 14)
    d0 = error * rng.normal(0, 4, 14) + 0.003
    dphi = np.array([0.3, -0.2, 0.05, -0.38, 0.11, -0.02, 2.5, -2.7, 1.9, -1.8, 6.1, -6.2, 5.9, -6.0])
    yield d0, error, dphi  # the last four are differences across the seam at pi
    yield np.append(-d0[:5], 0), error[:6], np.append(dphi[:5] + 2 * np.pi, 0.2)  # a track through the beam line
    yield tuple(column.astype(np.float32)[::2] for column in (-d0, error, dphi))


def signed(side=lambda d0, dphi: -d0 * np.sin(dphi), size=lambda d0, dphi: np.abs(d0), by=lambda error: error):
    return lambda d0, error, dphi: np.sign(side(d0, dphi)) * size(d0, dphi) / by(error)


@exercise(
    "12.1",
    "the signed impact parameter over its error",
    cases=tracks_around_a_jet,
    returns=("the array of significances",),
    harmless={
        "answer: -d0 * np.sin(dphi)": "Only the sign enters; a track with both zero has none.",
        "accepted 1: -d0 * np.sign(np.sin(dphi))": "The sign of a number is that of its inverse; a track with both zero has none.",
    },
    hints=(
        "The jet flies along (cos phi_jet, sin phi_jet). Write out its scalar product with the point of closest approach: only the difference of the two azimuths is left in it.",
        "cos(phi) sin(phi_jet) - sin(phi) cos(phi_jet) is the sine of jet minus track, and dphi is track minus jet.",
        "np.sign of the scalar product is +1 or -1; the size, np.abs(d0), comes back by multiplication.",
    ),
    mistakes={
        "All signs are reversed, and the long-lived tracks of b jets come out negative. Write the scalar product out: the sine of jet minus track is not that of track minus jet.": signed(lambda d0, dphi: d0 * np.sin(dphi)),
        "This is d0 with the tracker's sign, which says on which side of the track itself the beam line lies. It knows nothing of the jet. (An angle between 0 and 2 pi, as np.mod gives it, is never negative and has no say, either.)": signed(lambda d0, dphi: d0),
        "This is d0 with the tracker's sign turned round. That sign knows nothing of the jet: dphi has to take part. (And where it does, it has to be negative for half of the tracks: np.mod gives angles between 0 and 2 pi.)": signed(lambda d0, dphi: -d0),
        "All values are positive. Half of the tracks from the beam line lie behind it by chance, and this negative side shows how large the resolution is.": signed(lambda d0, dphi: 1),
        "The sign comes from dphi alone: that of d0 is missing in it, or is there twice, in the sign and in the size, and cancels. It says on which side of the beam line the track passes; the size is np.abs(d0).": signed(lambda d0, dphi: -np.sin(dphi)),
        "The sign comes from dphi alone: that of d0 is missing in it, or is there twice, in the sign and in the size, and cancels. The size is np.abs(d0). (And the scalar product has the other sign.)": signed(lambda d0, dphi: np.sin(dphi)),
        "There is a cosine in the sign. The point of closest approach lies at a right angle to the track, not along it.": signed(lambda d0, dphi: d0 * np.cos(dphi)),
        "There is a cosine in the sign, and another sign before it. The point of closest approach lies at a right angle to the track, not along it.": signed(lambda d0, dphi: -d0 * np.cos(dphi)),
        "These are the scalar products themselves, smaller than d0 by the sine of a small angle. Take only their sign.": signed(size=lambda d0, dphi: np.abs(d0 * np.sin(dphi))),
        "These are the scalar products themselves, and with the other sign. Take only their sign, and see which azimuth is subtracted from which.": signed(lambda d0, dphi: d0 * np.sin(dphi), lambda d0, dphi: np.abs(d0 * np.sin(dphi))),
        "dphi itself is in the sign, and not its sine, or the sine took the angle for degrees (np.radians), for which all of these are small. Across the seam at pi a small angle comes as 6.1: the sine of it does not mind, dphi > 0 does.": signed(lambda d0, dphi: -d0 * dphi),
        "dphi itself is in the sign, and not its sine, which alone is right across the seam at pi, or the sine took the angle for degrees (np.radians). And all signs are reversed.": signed(lambda d0, dphi: d0 * dphi),
        "dphi itself is in the sign, without the sign of d0.": signed(lambda d0, dphi: -dphi),
        "dphi was brought back on one side only. Above pi, 2 pi have to be subtracted, and below -pi they have to be added: the difference of two azimuths may be either. The sine needs neither.": signed(lambda d0, dphi: -d0 * np.where(dphi > np.pi, dphi - 2 * np.pi, dphi)),
        "dphi was brought back on one side only. Below -pi, 2 pi have to be added, and above pi they have to be subtracted: the difference of two azimuths may be either. The sine needs neither.": signed(lambda d0, dphi: -d0 * np.where(dphi < -np.pi, dphi + 2 * np.pi, dphi)),
        "dphi was brought back on one side only, above pi and not below -pi, and all signs are reversed. The sine needs neither.": signed(lambda d0, dphi: d0 * np.where(dphi > np.pi, dphi - 2 * np.pi, dphi)),
        "dphi was brought back on one side only, below -pi and not above pi, and all signs are reversed. The sine needs neither.": signed(lambda d0, dphi: d0 * np.where(dphi < -np.pi, dphi + 2 * np.pi, dphi)),
        "The sine took degrees (np.degrees) for radians. dphi is in radians already, as np.sin wants it.": signed(lambda d0, dphi: -d0 * np.sin(np.degrees(dphi))),
        "This is the impact parameter in mm. A significance is divided by its error.": signed(by=lambda error: 1),
        "This is the impact parameter in mm, not yet divided by its error, and with all signs reversed.": signed(lambda d0, dphi: d0 * np.sin(dphi), by=lambda error: 1),
        "It is multiplied by the error. Divide: well-measured tracks count more.": signed(by=lambda error: 1 / error),
        "It is divided by the square of the error. A significance has no unit: divide once.": signed(by=lambda error: error**2),
        "Tracks behind the jet are set to 0. They show how large the resolution is.": lambda *tracks: signed_significance(*tracks).clip(min=0),
        "Tracks behind the jet are left out. Keep every track: other columns must stay aligned with this one.": lambda *tracks: (s := signed_significance(*tracks))[s > 0],
        "Only the sign is here, +1 or -1. The size is that of d0, over its error.": lambda *tracks: np.sign(signed_significance(*tracks)),
        "changes its input in place": lambda d0, error, dphi: np.multiply(d0, -np.sign(np.sin(dphi)), out=d0) / error,
        "come as a list": lambda *tracks: signed_significance(*tracks).tolist(),
    },
    accepted=[
        lambda d0, error, dphi: -d0 * np.sign(np.sin(dphi)) / error,
        lambda d0, error, dphi: np.where(d0 * np.sin(dphi) < 0, 1, -1) * np.abs(d0 / error),
        lambda d0, error, dphi: np.copysign(d0, np.cos(dphi + np.pi / 2) * d0) / error,
        lambda d0, error, dphi: np.array([math.copysign(d / e, -d * math.sin(f)) for d, e, f in zip(d0, error, dphi, strict=True)]),
        lambda d0, error, dphi: np.where((d0 > 0) == ((dphi + np.pi) % (2 * np.pi) < np.pi), abs(d0), -abs(d0)) / error,
        lambda d0, error, dphi: np.sign((1j * d0 * np.exp(1j * dphi)).real) * np.abs(d0) / error,
    ],
)
def signed_significance(d0, error, dphi):
    towards_the_jet = -d0 * np.sin(dphi)  # scalar product of the point with the jet's direction
    return np.sign(towards_the_jet) * np.abs(d0) / error


def jets_of_tracks():
    rng = np.random.default_rng(122)
    edges = np.array([-8.0, -3, -1, -0.5, 0, 0.5, 1, 2, 4, 9, 20])
    n_b, n_light = rng.integers(40, 300, 10), rng.integers(200, 4000, 10)
    for counts in ([3, 0, 5, 1, 0, 0, 44, 76, 0], [2, 0, 3, 1]):
        significance = rng.normal(1, 1, sum(counts)) * rng.choice([1, 4], sum(counts))
        significance[:6] = [-11, 27, 0.5, -8, 4, 20]  # beyond the edges, and on some of them
        yield significance, np.array(counts), edges, n_b, n_light
    yield significance.astype(np.float32)[:5], np.array([0, 5]), edges[2:8], n_b[2:7].astype(float), n_light[2:7]


def bins(significance, edges):
    return np.searchsorted(edges, significance, side="right") - 1


def sums(values, counts):
    return np.bincount(np.repeat(np.arange(len(counts)), counts), weights=values, minlength=len(counts))


def jet_by_jet(reduce):
    return lambda values, counts: np.array([reduce(rows) for rows in np.split(values, np.cumsum(counts)[:-1])])


def likelihood(ratio=lambda b, light: (b / b.sum()) / (light / light.sum()), value=np.log, place=bins, last=True, total=sums):
    """Return what those write who take one step in another way."""

    def answer(significance, counts, edges, n_b, n_light):
        at = place(significance, edges)
        return total(value(ratio(n_b, n_light))[np.clip(at, 0, len(n_b) - 1) if last else at], counts)

    return answer


@exercise(
    "12.2",
    "the log-likelihood ratio of each jet",
    cases=jets_of_tracks,
    returns=("the array of log-likelihood ratios",),
    harmless={
        "accepted 3: np.clip(at, 0, len(n_b) - 1) if last else at": "Counted by inner edges alone, no place lies outside, and nothing need be clipped.",
        "accepted 3: len(n_b) - 1": "Counted by inner edges alone, no place lies outside, and nothing need be clipped.",
        "accepted 3: n_b": "Counted by inner edges alone, no place lies outside, and nothing need be clipped.",
    },
    tolerance={"rtol": 1e-5, "atol": 1e-6},
    hints=(
        "Three steps: from counts to shares, from each track to its bin, from tracks to jets.",
        "np.digitize(significance, edges) numbers the bins from 1; what it gives beyond the edges has to be brought back with np.clip.",
        "np.repeat(np.arange(len(counts)), counts) says to which jet each track belongs; np.bincount with weights= adds, and minlength= keeps the last jets without tracks.",
    ),
    mistakes={
        "These are ratios of the counts. There are more tracks in light jets than in b jets, and each track adds the logarithm of that: divide each histogram by its own sum first.": likelihood(lambda b, light: b / light),
        "The ratio is upside down: large values should speak for b.": likelihood(lambda b, light: (light / light.sum()) / (b / b.sum())),
        "The ratio is upside down, and of the counts: divide each histogram by its own sum first.": likelihood(lambda b, light: light / b),
        "The histograms were divided by their maxima; a share is divided by the sum.": likelihood(lambda b, light: (b / b.max()) / (light / light.max())),
        "This is the share of b among the tracks of a bin. Asked for is the share of a flavour's tracks that lies in the bin.": likelihood(lambda b, light: b / (b + light)),
        "This is the share of b among the tracks of a bin, of histograms that were divided by their sums. The denominator is the light share alone.": likelihood(lambda b, light: (p := b / b.sum()) / (p + light / light.sum())),
        "Only the b tracks take part. The ratio compares them with the light ones.": likelihood(lambda b, light: b / b.sum()),
        "This is the logarithm of one share over that of the other. The logarithm is taken of the ratio.": likelihood(lambda b, light: np.log(b / b.sum()) / np.log(light / light.sum()), value=np.positive),
        "The ratios themselves were added. Probabilities of several tracks multiply, so it is their logarithms that add.": likelihood(value=np.positive),
        "This is the product of the ratios. It is right as a likelihood ratio; asked for is its logarithm.": likelihood(value=np.positive, total=jet_by_jet(np.prod)),
        "The logarithm was taken of the sum over the tracks. Take it of each track first, then add.": likelihood(value=np.positive, total=jet_by_jet(lambda rows: np.log(rows.sum()))),
        "The logarithm was taken of the sum over the tracks, and 0 where there are none. Take it of each track first, then add.": likelihood(value=np.positive, total=jet_by_jet(lambda rows: np.log(rows.sum()) if len(rows) else 0)),
        "This is the logarithm to base 10; ln is np.log.": likelihood(value=np.log10),
        "This is the mean over the tracks, and NaN for a jet without tracks. Add them: each track brings evidence of its own.": likelihood(total=jet_by_jet(lambda rows: rows.mean() if len(rows) else np.nan)),
        "This is the mean over the tracks. Add them: each track brings evidence of its own.": likelihood(total=lambda values, counts: sums(values, counts) / np.maximum(counts, 1)),
        "The bins are one too far to the right: np.digitize counts from 1.": likelihood(place=lambda s, edges: bins(s, edges) + 1),
        "The bins are one too far to the right, and beyond the last there is none: np.digitize counts from 1.": likelihood(place=lambda s, edges: bins(s, edges) + 1, last=False),
        "A track on an edge belongs to the bin above it, as in np.histogram: np.searchsorted needs side=\"right\", np.digitize does it by itself.": likelihood(place=lambda s, edges: np.searchsorted(edges, s) - 1),
        "A track below the first edge is in the *last* bin, which speaks for b most of all: that is what the place -1 means. Bring it back to 0.": likelihood(place=lambda s, edges: np.minimum(bins(s, edges), len(edges) - 2), last=False),
        "A track beyond the edges is in no bin, and the index fails. Bring it back to the first or last one.": likelihood(last=False),
        "Tracks beyond the edges are left out. They count in the first or last bin.": lambda s, counts, edges, b, light: sums(likelihood(total=lambda v, n: v)(s, counts, edges, b, light) * ((s >= edges[0]) & (s < edges[-1])), counts),
        "All tracks beyond the edges were put into the first bin. Those above belong to the last.": likelihood(place=lambda s, edges: np.where(s >= edges[-1], 0, bins(s, edges))),
        "The sign of the significance is lost. Only the positive side has long-lived tracks.": likelihood(place=lambda s, edges: bins(np.abs(s), edges)),
        "The bins were taken for equally wide. Look the place up in `edges`.": likelihood(place=lambda s, edges: ((s - edges[0]) / (edges[-1] - edges[0]) * (len(edges) - 1)).astype(int)),
        "The bins were taken for as wide as the first one. Their widths differ: look the place up in `edges`.": likelihood(place=lambda s, edges: ((s - edges[0]) // (edges[1] - edges[0])).astype(int)),
        "The bins were taken for equally wide, between the lowest and the highest significance. Look the place up in `edges`.": likelihood(place=lambda s, edges: np.digitize(s, np.linspace(s.min(), s.max(), len(edges))) - 1),
        "The histogram of the b tracks was divided by the widths of the bins, that of the light ones was not. Both or none: the widths cancel in the ratio.": lambda s, counts, edges, b, light: likelihood(lambda b, light: b / b.sum() / np.diff(edges) / (light / light.sum()))(s, counts, edges, b, light),
        "The histogram of the light tracks was divided by the widths of the bins, that of the b ones was not. Both or none: the widths cancel in the ratio.": lambda s, counts, edges, b, light: likelihood(lambda b, light: b / b.sum() / (light / light.sum() / np.diff(edges)))(s, counts, edges, b, light),
        "The histogram of the b tracks was divided by the widths of the bins before its sum was taken. A share is a number of tracks over their sum; widths have no part in it.": lambda s, counts, edges, b, light: jet_log_ratio(s, counts, edges, b / np.diff(edges), light),
        "The histogram of the light tracks was divided by the widths of the bins before its sum was taken. A share is a number of tracks over their sum; widths have no part in it.": lambda s, counts, edges, b, light: jet_log_ratio(s, counts, edges, b, light / np.diff(edges)),
        "The histograms were divided by the widths of the bins before their sums were taken. A share is a number of tracks over their sum; widths have no part in it.": lambda s, counts, edges, b, light: jet_log_ratio(s, counts, edges, b / np.diff(edges), light / np.diff(edges)),
        "The histograms were divided by their integrals, the sums of counts times widths. A share is a number of tracks over their sum; widths have no part in it.": lambda s, counts, edges, b, light: likelihood(lambda b, light: b / (b * np.diff(edges)).sum() / (light / (light * np.diff(edges)).sum()))(s, counts, edges, b, light),
        "The histogram of the b tracks was divided by its integral, the sum of counts times widths. A share is a number of tracks over their sum; widths have no part in it.": lambda s, counts, edges, b, light: likelihood(lambda b, light: b / (b * np.diff(edges)).sum() / (light / light.sum()))(s, counts, edges, b, light),
        "The histogram of the light tracks was divided by its integral, the sum of counts times widths. A share is a number of tracks over their sum; widths have no part in it.": lambda s, counts, edges, b, light: likelihood(lambda b, light: b / b.sum() / (light / (light * np.diff(edges)).sum()))(s, counts, edges, b, light),
        "Jets without tracks at the end are lost: np.bincount stops at the last jet that has one. minlength=len(counts).": likelihood(total=lambda values, counts: np.bincount(np.repeat(np.arange(len(counts)), counts), weights=values)),
        "Jets without tracks are left out: there must be a number for each jet, 0 for these.": likelihood(total=lambda values, counts: sums(values, counts[counts > 0])),
        "A jet without tracks got the first track of the next one, or an index that does not exist: np.add.reduceat knows no empty group. Its sum is 0.": likelihood(total=lambda values, counts: np.add.reduceat(values, np.cumsum(counts) - counts)),
        "A jet without tracks is NaN. A sum over nothing is 0.": likelihood(total=lambda values, counts: np.where(counts > 0, sums(values, counts), np.nan)),
        "Only one track of each jet arrives: total[jet] += ... writes to a place that comes twice only once. np.add.at or np.bincount adds all.": likelihood(total=jet_by_jet(lambda rows: rows[-1] if len(rows) else 0)),
        "The last track of each jet is dropped.": likelihood(total=jet_by_jet(lambda rows: rows[:-1].sum())),
        "The first track of each jet is dropped.": likelihood(total=jet_by_jet(lambda rows: rows[1:].sum())),
        "The first track of each jet is added to the jet before: the running sum of `counts` is the place behind a jet's last track.": likelihood(total=lambda values, counts: np.bincount(np.searchsorted(np.cumsum(counts), np.arange(len(values))), weights=values, minlength=len(counts))),
        "These are running sums: all jets before are still in it.": likelihood(total=lambda values, counts: sums(values, counts).cumsum()),
        "There is one jet too many: np.cumsum(counts) ends behind the last track, and np.split makes an empty part of what follows. Split at np.cumsum(counts)[:-1].": likelihood(total=lambda values, counts: np.array([rows.sum() for rows in np.split(values, np.cumsum(counts))])),
        "np.split takes places and has got numbers of tracks: 3, 1, 2 means three tracks, then what lies between places 3 and 1. Places are running sums, np.cumsum(counts)[:-1].": likelihood(total=lambda values, counts: np.array([rows.sum() for rows in np.split(values, counts)])),
        "np.split takes places and has got the numbers of tracks of all jets but the last. Places are running sums, np.cumsum(counts)[:-1].": likelihood(total=lambda values, counts: np.array([rows.sum() for rows in np.split(values, counts[:-1])])),
        "np.split takes places and has got numbers of tracks, and the last part was dropped. Places are running sums, np.cumsum(counts)[:-1].": likelihood(total=lambda values, counts: np.array([rows.sum() for rows in np.split(values, counts)[:-1]])),
        "All jets are shifted by one: np.split makes one part more than it gets places, and it is the last that is empty, not the first.": likelihood(total=lambda values, counts: np.array([rows.sum() for rows in np.split(values, np.cumsum(counts))[1:]])),
        "This is one sum over all jets.": likelihood(total=lambda values, counts: values.sum()),
        "These are the numbers of the tracks; add them jet by jet.": likelihood(total=lambda values, counts: values),
        "come as a list": lambda *given: jet_log_ratio(*given).tolist(),
    },
    accepted=[
        likelihood(place=lambda s, edges: np.digitize(s, edges) - 1, total=jet_by_jet(np.sum)),
        likelihood(lambda b, light: np.log(b) - np.log(light) - np.log(b.sum() / light.sum()), value=np.positive),
        likelihood(place=lambda s, edges: (s[:, None] >= edges[1:-1]).sum(axis=1)),
        likelihood(total=lambda values, counts: np.diff(np.append(0, np.cumsum(values))[np.append(0, np.cumsum(counts))])),
        lambda s, counts, *given: pd.Series(likelihood(total=lambda values, n: values)(s, counts, *given)).groupby(np.repeat(np.arange(len(counts)), counts)).sum().reindex(range(len(counts)), fill_value=0).to_numpy(),
        lambda s, counts, *given: ak.to_numpy(ak.sum(ak.unflatten(likelihood(total=lambda values, n: values)(s, counts, *given), counts), axis=1)),
    ],
)
def jet_log_ratio(significance, counts, edges, n_b, n_light):
    log_ratio = np.log(n_b / n_b.sum()) - np.log(n_light / n_light.sum())  # (B,)
    place = np.clip(np.digitize(significance, edges) - 1, 0, len(n_b) - 1)  # (T,): np.digitize counts from 1
    jet = np.repeat(np.arange(len(counts)), counts)  # (T,): 0 0 0 1 2 2 for counts 3, 1, 2
    return np.bincount(jet, weights=log_ratio[place], minlength=len(counts))


def codes():
    for flavour in ([5, 0, 4, 4, 0, 5, 0], [5, 5], [4, 0, 0], [0, 5, 4, 15], [4, 0, 3], [-5, 0, 4, 5], [0, 2, 5], [15], [21, 0], [1, 4], [3, 0], [0, 6], [-1, 4], [5, -4], [-5, 4]):
        yield (np.array(flavour, dtype=np.int32),)


def known(flavour):
    return np.isin(flavour, (0, 4, 5)).all()


def numbers_or_error(function, flavour):
    """Return the numbers; or, where there are none, what the function does instead."""
    if known(flavour):
        return {"the array of class numbers": call(function, flavour, name="class_numbers")}
    try:
        answer = function(flavour.copy())
        if isinstance(answer, Exception):
            answer = "an error that is returned"
    except ValueError:
        answer = "ValueError"
    except Exception as error:
        answer = type(error).__name__
    return {f"what comes of the codes {', '.join(map(str, flavour))}": answer}


def numbered(numbers=(0, 1, 2), strange=lambda flavour: not known(flavour), other=0, error=ValueError):
    """Return what those write who number the classes otherwise, or take other codes, or none, for strange."""

    def answer(flavour):
        if strange(flavour):
            raise error("no class of ours")
        return np.select([flavour == code for code in (0, 4, 5)], numbers, other)

    return answer


def never(flavour):
    return False


@exercise(
    "12.3",
    "class numbers from flavours",
    cases=codes,
    observe=numbers_or_error,
    demands=[lambda function, flavour: demands.whole_numbers(function, flavour) if known(flavour) else None],
    hints=(
        "light is entry 0 of CLASSES, c entry 1, b entry 2: three codes, three numbers.",
        "Begin with an array of -1 for all jets and write each class's number where the code is its own, numbers[flavour == code] = ...",
        "What is still -1 in the end had a code of no class: raise a ValueError that says which.",
    ),
    mistakes={
        "The order of the classes is reversed: in CLASSES light is entry 0 and b entry 2. A network trained with these numbers would give b in its first column, and nobody would be told.": numbered((2, 1, 0)),
        "Light and c are exchanged: in CLASSES light is entry 0.": numbered((1, 0, 2)),
        "c and b are exchanged: in CLASSES c is entry 1 and b entry 2.": numbered((0, 2, 1)),
        "The order is b, light, c here: look it up in CLASSES.": numbered((1, 2, 0)),
        "The order is c, b, light here: look it up in CLASSES.": numbered((2, 0, 1)),
        "The numbers begin at 1. A network's outputs are counted from 0, as the entries of CLASSES are.": numbered((1, 2, 3)),
        "These are still the codes. A network with three outputs has none of number 5.": numbered((0, 4, 5)),
        "These are still the codes, whatever they are. A network with three outputs has none of number 5.": lambda flavour: flavour.copy(),
        "These are b or not b. There are three classes, and c is one of its own.": numbered((0, 0, 1)),
        "These are the names. The loss counts with numbers: the place of the name in CLASSES.": lambda flavour: np.array(CLASSES)[class_numbers(flavour)],
        "These are rows of 0 and 1, one for each jet. Asked for is one number for each jet.": lambda flavour: np.eye(3)[class_numbers(flavour)],
        "np.unique numbers the codes that happen to be there. In a file with b jets alone, b would be 0.": lambda flavour: np.unique(flavour, return_inverse=True)[1],
        "np.unique numbers the codes that happen to be there: in a file with b jets alone, b would be 0. Others raise an error as they should.": lambda flavour: np.unique(flavour, return_inverse=True)[1] if known(flavour) else class_numbers(flavour),
        "The codes are numbered in the order in which they come first. In the next file that is another order.": lambda flavour: pd.factorize(flavour)[0],
        "A code that is no class became light, silently. Refuse it.": numbered(strange=never),
        "A code that is no class became b, silently. Refuse it.": numbered(strange=never, other=2),
        "A code that is no class became -1, the last entry for Python: the network would learn it as b. Refuse it.": numbered(strange=never, other=-1),
        "A code that is no class became NaN. Refuse it: a NaN among labels spoils the loss.": numbered(strange=never, other=np.nan),
        "A code that is no class keeps its code. Refuse it.": lambda flavour: np.select([flavour == code for code in (0, 4, 5)], (0, 1, 2), flavour),
        "Jets of no class are left out. Then labels and inputs are not aligned any more: raise an error.": lambda flavour: class_numbers(flavour[np.isin(flavour, (0, 4, 5))]),
        "Only the tau lepton, 15, is refused. Any code but 0, 4 and 5 is no class of ours.": numbered(strange=lambda flavour: (flavour == 15).any()),
        "Only codes above 5 are refused. 1, 3 and -5 are no classes of ours either.": numbered(strange=lambda flavour: (flavour > 5).any()),
        "Only codes below 0 and above 5 are refused. 1 and 3 are no classes of ours either.": numbered(strange=lambda flavour: ((flavour < 0) | (flavour > 5)).any()),
        "The sign was dropped, and -5 became b. The branch has no negative codes: refuse what is not foreseen.": lambda flavour: class_numbers(np.abs(flavour)),
        "An error comes only when no jet has a known code. One jet of no class is enough.": numbered(strange=lambda flavour: not np.isin(flavour, (0, 4, 5)).any()),
        "Only the first jet was looked at for a code that is no class.": numbered(strange=lambda flavour: not known(flavour[:1])),
        "A sorted list was searched, and what lies between two codes became the next one. Refuse codes that are not in it.": lambda flavour: np.searchsorted([0, 4, 5], flavour),
        "3 was subtracted and what is outside cut off: 1 becomes light and 15 b, silently.": lambda flavour: np.clip(flavour - 3, 0, 2),
        "A code that is no class ends in a KeyError of a dictionary. Raise a ValueError, whose words can say what is wrong.": numbered(error=KeyError),
        "A code that is no class ends in an IndexError of a table, and a negative one is counted from the end. Look for them before, and raise a ValueError.": lambda flavour: np.array([0, -1, -1, -1, 1, 2])[flavour],
        "An assert is switched off by python -O, and its AssertionError says that the program is wrong. Raise a ValueError.": numbered(error=AssertionError),
        "A ValueError is asked for; there are other kinds of errors for other kinds of trouble.": numbered(error=TypeError),
        "Exception is the name of all errors together: who wants to catch this one would catch every other with it. Raise a ValueError.": numbered(error=Exception),
        "An error that is printed or returned stops nobody. `raise` it.": lambda flavour: class_numbers(flavour) if known(flavour) else ValueError("no class of ours"),
        "For codes that are no class nothing is returned, and no error raised.": lambda flavour: class_numbers(flavour) if known(flavour) else None,
        "For codes that are no class words are returned. `raise` an error, which nobody can overlook.": lambda flavour: class_numbers(flavour) if known(flavour) else "no class of ours",
        "they are no whole numbers": lambda flavour: class_numbers(flavour).astype(float),
        "come as a list": lambda flavour: class_numbers(flavour).tolist(),
        "changes its input in place": lambda flavour: np.copyto(flavour, class_numbers(flavour)) or flavour,
    },
    accepted=[
        lambda flavour: np.array([[0, 4, 5].index(code) for code in flavour]),
        numbered(),
        lambda flavour: pd.Series(flavour).map({0: 0, 4: 1, 5: 2}).astype(int).to_numpy(),
        lambda flavour: np.searchsorted([0, 4, 5], flavour) if set(flavour.tolist()) <= {0, 4, 5} else class_numbers(flavour),
        lambda flavour: (flavour == np.array([[0], [4], [5]])).argmax(axis=0).astype(np.uint8) if known(flavour) else int("no"),
    ],
)
def class_numbers(flavour):
    numbers = np.full(len(flavour), -1)
    for code, name in ((0, "light"), (4, "c"), (5, "b")):
        numbers[flavour == code] = CLASSES.index(name)
    if (numbers < 0).any():
        raise ValueError(f"flavour {set(flavour[numbers < 0].tolist())} is none of 0 (light), 4 (c) and 5 (b)")
    return numbers


def columns_with_defaults():
    rng = np.random.default_rng(124)
    column = rng.normal(15, 40, 300)
    column[:60] = rng.choice([-90, -89.6, -90.7, -95, 0, 90], 60)  # real values beside the default, and beyond
    column[rng.permutation(300)[:90]], column[61] = -90, 900
    yield column, -90.0, rng.permutation(300)[:170]
    seen, rest = np.repeat([-1, 1, 2, 3, 4, 5, 6, 7], [20, 6, 9, 12, 11, 12, 9, 6]), np.repeat([-1, -2, 0, 1, 4, 12], 5)
    order = rng.permutation(len(seen) + len(rest))
    yield np.append(seen, rest)[order].astype(float), -1.0, np.argsort(order)[: len(seen)]  # the mean, 4, is among the values
    column = rng.normal(-20, 6, 120)
    column[[3, 50, 70]] = -9
    yield column.astype(np.float32), -9.0, np.setdiff1d(np.arange(20, 110), [50, 70])  # all of these are real


def standardised(x, real):
    return (x - real.mean()) / real.std()


def filled(real=lambda x, d, t: x[t][x[t] != d], missing=lambda x, d: x == d, mean=np.mean, std=np.std, fill=lambda x, m, s: 0, flag=lambda missing, scaled: missing * 1.0):
    """Return what those write who take one step in another way."""

    def answer(column, default, training):
        m, s = mean(real(column, default, training)), std(real(column, default, training))
        scaled = np.where(missing(column, default), fill(column, m, s), (column - m) / s)
        return scaled, flag(column == default, scaled)

    return answer


@exercise(
    "12.4",
    "the filled column and its check flag",
    cases=columns_with_defaults,
    returns=("the array of scaled values", "the array of flags"),
    tolerance={"rtol": 1e-4, "atol": 1e-5},
    hints=(
        "Three groups of jets play a part: those with a default, the training jets, and the training jets with a real value.",
        "values = column[training] are those of the training jets; values[values != default] the real ones among them.",
        "np.where(condition, 0, scaled) puts the 0 where the default stood, after scaling; (column == default) is the flag, .astype(float) makes 0 and 1 of it.",
    ),
    mistakes={
        "Mean and standard deviation are those of all jets, the test jets among them. What is measured on test jets has seen them: take the training jets alone.": filled(lambda x, d, t: x[x != d]),
        "Mean and standard deviation are those of the jets that are *not* for training.": filled(lambda x, d, t: (rest := np.delete(x, t))[rest != d]),
        "The default values took part in mean and standard deviation: they pull the mean and hide how the real values differ. Leave them out.": filled(lambda x, d, t: x[t]),
        "The default values took part in mean and standard deviation, and so did the jets that are not for training.": filled(lambda x, d, t: x),
        "The default is scaled like a value: to the network it is a measurement, far from all others, and the largest there is. Put 0 in its place, the mean of the real values.": filled(missing=lambda x, d: np.zeros_like(x)),
        "The default is scaled like a value, and took part in mean and standard deviation. Leave it out of them and put 0 in its place.": filled(lambda x, d, t: x[t], missing=lambda x, d: np.zeros_like(x)),
        "The default is scaled like a value, and jets that are not for training took part in mean and standard deviation.": filled(lambda x, d, t: x[x != d], missing=lambda x, d: np.zeros_like(x)),
        "The default was set to 0 before scaling and scaled with the rest. Choose after scaling.": filled(fill=lambda x, m, s: -m / s),
        "The default was set to 0 before everything else: these zeros took part in mean and standard deviation, and were scaled.": lambda x, d, t: (standardised(y := np.where(x == d, 0, x), y[t]), (x == d) * 1.0),
        "The default became the mean of the real values before mean and standard deviation were taken. The mean is the same, but the spread comes out too small: measure it on the real values.": filled(lambda x, d, t: np.where(x[t] == d, x[t][x[t] != d].mean(), x[t])),
        "The mean stands where the default stood. After scaling the mean is 0.": filled(fill=lambda x, m, s: m),
        "The default is still there, among values scaled to a spread of 1. Put 0 in its place.": filled(fill=lambda x, m, s: x),
        "The default became NaN; one NaN is enough to spoil a network. Put 0 in its place.": filled(fill=lambda x, m, s: np.nan),
        "The defaults were left out of the mean, but not of the standard deviation.": lambda x, d, t: filled(std=lambda real: x[t].std())(x, d, t),
        "The defaults were left out of the standard deviation, but not of the mean.": lambda x, d, t: filled(mean=lambda real: x[t].mean())(x, d, t),
        "Real values below the default were left out of mean and standard deviation. Compare with !=.": filled(lambda x, d, t: x[t][x[t] > d]),
        "Real values below the default were taken for it. Compare with ==.": filled(lambda x, d, t: x[t][x[t] > d], missing=lambda x, d: x <= d),
        "Negative values were taken for the default. A real value can be negative: compare with `default`.": lambda x, d, t: (np.where(x < 0, 0, standardised(x, x[t][x[t] >= 0])), (x < 0) * 1.0),
        "Real values close to the default were taken for it. The default is one exact value: compare with ==.": lambda x, d, t: (np.where(near := np.abs(x - d) < 1, 0, standardised(x, x[t][~near[t]])), near * 1.0),
        "A default is built in, -1 perhaps: the function looks for it whatever it is told. Use its argument `default`.": lambda x, d, t: filled_and_checked(x, -1.0, t),
        "-90 is built in: the function looks for it whatever it is told. Use its argument `default`.": lambda x, d, t: filled_and_checked(x, -90.0, t),
        "-90 is built in where the default is replaced and flagged. Use the argument `default`.": lambda x, d, t: (np.where(x == -90, 0, standardised(x, x[t][x[t] != d])), (x == -90) * 1.0),
        "-90 is built in where the real values are chosen for mean and standard deviation. Use the argument `default`.": filled(lambda x, d, t: x[t][x[t] != -90]),
        "Real values of 0 were taken for missing ones.": filled(lambda x, d, t: x[t][(x[t] != d) & (x[t] != 0)], missing=lambda x, d: (x == d) | (x == 0)),
        "Only the mean is subtracted; the division by the standard deviation is missing.": filled(std=lambda real: 1),
        "The mean is not subtracted.": filled(mean=lambda real: 0),
        "This is divided by the variance. Divide by the standard deviation.": filled(std=np.var),
        "The first jets of the column were taken for the training jets. `training` holds the positions of those.": filled(lambda x, d, t: x[: len(t)][x[: len(t)] != d]),
        "The flag is turned round: 1 means that nothing was measured.": filled(flag=lambda missing, scaled: 1.0 - missing),
        "The flag is 1 where the scaled value is 0. A real value can be the mean: ask the column, before it is scaled.": filled(flag=lambda missing, scaled: (scaled == 0) * 1.0),
        "The flag is scaled as well. It stays 0 or 1.": filled(flag=lambda missing, scaled: (missing - missing.mean()) / missing.std()),
        "The flag is 0 for all jets: it was taken after the default had been replaced.": filled(flag=lambda missing, scaled: np.zeros(len(missing))),
        "The flag holds positions. One entry for each jet is asked for, 0 or 1.": filled(flag=lambda missing, scaled: np.flatnonzero(missing)),
        "The two are exchanged: the scaled values first, then the flag.": lambda x, d, t: filled_and_checked(x, d, t)[::-1],
        "Only the training jets came back. They say how to scale; the whole column is scaled.": lambda x, d, t: tuple(column[t] for column in filled_and_checked(x, d, t)),
        "Jets with the default are left out. Keep every jet: the column must stay aligned with the others.": lambda x, d, t: (filled_and_checked(x, d, t)[0][x != d], (x == d) * 1.0),
        "should return the array of scaled values and the array of flags": lambda x, d, t: np.stack(filled_and_checked(x, d, t), axis=1),
        "changes its input in place": lambda x, d, t: (filled_and_checked(x, d, t), x.fill(0))[0],
    },
    alternatives=[filled(std=lambda real: np.std(real, ddof=1))],  # as pandas and torch do
    accepted=[
        filled(flag=lambda missing, scaled: missing),
        lambda x, d, t: (np.where(near := np.isclose(x, d), 0, standardised(x, x[t][~near[t]])), near.astype(int)),
        lambda x, d, t: np.stack(filled_and_checked(x.astype(np.float64), d, t)),
        lambda x, d, t: [standardised(s := pd.Series(x).mask(x == d), s[t].to_numpy()[~s[t].isna()]).fillna(0).to_numpy(), s.isna().to_numpy().astype(int)],
        lambda x, d, t: (np.nan_to_num(((y := np.where(x == d, np.nan, x)) - np.nanmean(y[t])) / np.nanstd(y[t])), np.isnan(y)),
        lambda x, d, t: (standardised(y := np.ma.masked_equal(x, d), y[t]).filled(0), np.array([int(value == d) for value in x])),
    ],
)
def filled_and_checked(column, default, training):
    missing = column == default
    values = column[training].astype(np.float64)
    real = values[values != default]
    return np.where(missing, 0, (column - real.mean()) / real.std()), missing.astype(float)


def histograms_of_classes():
    rng = np.random.default_rng(125)
    yield rng.uniform(20, 900, (3, 8)) * np.array([[3], [1], [0.5]]), rng.uniform(1, 30, 8)
    yield rng.integers(5, 500, (2, 5)), rng.integers(5, 100, 5)  # counts are whole numbers
    counts, target = rng.integers(3, 200, (4, 4)) * np.array([[1], [2], [5], [3]]), rng.uniform(0, 1, 4)
    counts[0, 1] = counts[2, [0, 2]] = 0
    yield counts.astype(float), target
    counts[1, 2], counts[3, 3], target[1] = 0, 1, 0  # a single jet, and a bin of which the target has none
    yield counts, 1000 * target


def factors(share=lambda target, counts: target / target.sum(), total=lambda counts: counts.sum() / len(counts), bins=lambda counts: counts, empty=0):
    """Return what those write who take one step in another way."""

    def answer(counts, target):
        result = share(target, counts) * total(counts) / bins(counts)
        return np.where(counts == 0, empty, result)

    return answer


def own(counts):
    return counts.sum(axis=1, keepdims=True)


@exercise(
    "12.5",
    "the factors of each class",
    cases=histograms_of_classes,
    returns=("the array of factors",),
    hints=(
        "How many jets should each class have in each bin? Write this row down first, shape (B,): it is the same for all classes.",
        "The target divided by its sum is a shape, and counts.sum() / len(counts) is how many jets a class is to have.",
        "Factors are jets wanted over jets present. np.divide(wanted, counts, out=..., where=counts > 0) leaves alone what stands in `out`: zeros of type float, of the shape of `counts`.",
    ),
    mistakes={
        "The factors are upside down: where a class has too few jets, its factor is above 1.": lambda counts, target: np.nan_to_num(1 / class_factors(counts, target), posinf=0),
        "The target is not divided by its sum: then its number of events, which may be anything, decides the sum of weights.": factors(lambda target, counts: target, lambda counts: 1),
        "The target is not divided by its sum, and yet multiplied by the number of jets.": factors(lambda target, counts: target),
        "The target is divided by its maximum. A shape has the sum 1.": factors(lambda target, counts: target / target.max()),
        "The target is divided by the number of its bins. A shape has the sum 1: divide by target.sum().": factors(lambda target, counts: target / len(target)),
        "The target is divided by its mean. A shape has the sum 1, and not the mean: divide by target.sum().": factors(lambda target, counts: target / target.mean()),
        "The target is not divided by its sum, and the number of jets by that of the bins. Divide the target by target.sum(), and the jets by the number of classes.": factors(lambda target, counts: target, lambda counts: counts.sum() / counts.shape[1]),
        "Each class keeps its own number of jets. All classes are to have the same sum of weights: counts.sum() / K.": factors(total=own),
        "Each class keeps its own number of jets, and the target is not divided by its sum.": factors(lambda target, counts: target, own),
        "The weights of each class sum up to 1. Asked for is the mean number of jets of a class, so that weights are of the order of 1.": factors(total=lambda counts: 1),
        "The weights of each class sum up to the number of all jets. Divide by the number of classes.": factors(total=np.sum),
        "The number of classes is built in as 3. len(counts) knows it.": factors(total=lambda counts: counts.sum() / 3),
        "The sum of weights is that of the first class. Take the mean number of jets of a class.": factors(total=lambda counts: counts[0].sum()),
        "The sum of weights is that of the last class. Take the mean number of jets of a class.": factors(total=lambda counts: counts[-1].sum()),
        "The sum of weights is that of the largest class. Take the mean number of jets of a class.": factors(total=lambda counts: own(counts).max()),
        "The sum of weights is the mean over classes *and* bins, counts.mean(). A class has the sum over its bins.": factors(total=np.mean),
        "The number of all jets was divided by the number of bins, B. Divide by that of the classes, K, which is len(counts).": factors(total=lambda counts: counts.sum() / counts.shape[1]),
        "The factors were divided by the number of bins, B, as if the target were flat. The target says how much belongs into each bin.": factors(lambda target, counts: 1 / len(target)),
        "There is one factor for each bin, the same for all classes: it moves all spectra in the same way, and their differences stay. Divide by the counts of each class.": factors(bins=lambda counts: np.broadcast_to(counts.sum(axis=0), counts.shape)),
        "Each class was scaled as a whole, with no regard to its bins.": factors(lambda target, counts: 1, bins=lambda counts: own(counts) + 0 * counts),
        "These are the sums of weights that come out in each bin. The factor is what one jet is multiplied by: divide by the jets that are there.": factors(bins=np.ones_like),
        "The shares of a class were taken along the wrong axis, over the classes of a bin instead of the bins of a class.": factors(total=lambda counts: counts.sum(axis=0)),
        "The factors were divided by their mean. The sum of weights is fixed by the jets, of which bins hold unequal numbers.": lambda counts, target: (f := class_factors(counts, target)) / f.mean(),
        "The factors of each class were divided by their mean. The sum of weights is fixed by the jets, of which bins hold unequal numbers.": lambda counts, target: (f := class_factors(counts, target)) / f.mean(axis=1, keepdims=True),
        "A bin without jets got an infinite factor, or NaN. No factor makes jets where there are none: 0 there.": lambda counts, target: target / target.sum() * counts.sum() / len(counts) / counts,
        "np.nan_to_num turns NaN into 0, but an infinite factor into 1.8e308, the largest number there is. Divide only where there are jets.": lambda counts, target: np.nan_to_num(target / target.sum() * counts.sum() / len(counts) / counts),
        "A bin without jets got the factor 1. As agreed it is 0.": factors(empty=1),
        "A bin without jets got NaN. As agreed it is 0.": factors(empty=np.nan),
        "Empty bins were set to 1 against the division by zero, and have got a factor. It should be 0.": lambda counts, target: target / target.sum() * counts.sum() / len(counts) / np.maximum(counts, 1),
        "One was added to all counts, so that all factors are a little too small. Divide only where there are jets.": factors(bins=lambda counts: counts + 1),
        "One was added to all counts, so that all factors are a little too small, and bins without jets have one.": lambda counts, target: target / target.sum() * counts.sum() / len(counts) / (counts + 1),
        "A class with an empty bin was raised until its sum is that of the others, or the target was divided by its sum over the bins that this class fills. Then its full bins no longer agree with theirs: its other factors stay as they are, and its sum falls short.": lambda counts, target: (f := class_factors(counts, target)) * counts.sum() / len(counts) / (f * counts).sum(axis=1, keepdims=True),
        "All factors were raised until the sum of all weights is the number of jets again. What lies in an empty bin of a class is lost, as agreed: the other factors stay as they are.": lambda counts, target: (f := class_factors(counts, target)) * counts.sum() / (f * counts).sum(),
        "The target was divided by its sum over the bins that all classes fill. Its sum is over all bins, and a class falls short by what the target has where it has no jets.": lambda counts, target: class_factors(counts, target) * target.sum() / target[(counts > 0).all(axis=0)].sum(),
        "Bins that are empty in one class were taken out for all, and the target was divided by its sum over the others. Only this class has no jets there, and its other factors stay as they are.": lambda counts, target: class_factors(counts, target * (counts > 0).all(axis=0)),
        "All classes were brought to the sum of the class that falls short. The others have jets in all bins and reach the whole sum.": lambda counts, target: (f := class_factors(counts, target)) * (total := (f * counts).sum(axis=1, keepdims=True)).min() / total,
        "A bin that is empty in one class was set to 0 for all. Only this class has no jets there.": lambda counts, target: class_factors(counts, target) * (counts > 0).all(axis=0),
        "Rows and columns are exchanged: one row for each class.": lambda counts, target: class_factors(counts, target).T,
        "np.zeros_like(counts) makes zeros of the type of the counts, whole numbers, and no factor fits into them. Make zeros of type float.": lambda counts, target: np.divide(target / target.sum() * counts.sum() / len(counts), counts, out=np.zeros_like(counts), where=counts > 0),
        "The factors were rounded to whole numbers: zeros of the type of the counts are whole numbers, and cut off what is written into them.": lambda counts, target: class_factors(counts, target).astype(counts.dtype),
        "is masked, all or in part": lambda counts, target: target / target.sum() * counts.sum() / len(counts) / np.ma.masked_equal(counts, 0),
        "changes its input in place": lambda counts, target: (class_factors(counts, target), target.fill(1))[0],
        "come as a list": lambda counts, target: class_factors(counts, target).tolist(),
    },
    accepted=[
        factors(),
        lambda counts, target: np.nan_to_num(target / target.sum() * counts.sum(axis=1).mean() / counts, posinf=0),
        lambda counts, target: np.array([[t * counts.sum() / len(counts) / target.sum() / n if n else 0 for t, n in zip(target, row, strict=True)] for row in counts]),
        lambda counts, target: (target / target.sum() * counts.sum() / len(counts) / np.ma.masked_equal(counts, 0)).filled(0),
        lambda counts, target: np.where(counts > 0, (target / target.sum()) / (np.maximum(counts, 1) / own(counts)) * (counts.sum() / len(counts)) / own(counts), 0),
    ],
)
def class_factors(counts, target):
    wanted = target / target.sum() * counts.sum() / len(counts)  # (B,): the jets that each class shall have
    return np.divide(wanted, counts, out=np.zeros(counts.shape), where=counts > 0)


def trainings():
    """Losses and accuracies that go up and down, so that each way to choose chooses something else, and one that only rises."""
    rng, quantities = np.random.default_rng(126), {"loss": 0.6, "val_loss": 0.6, "accuracy": 0.5, "val_accuracy": 0.5}
    sizes = {"small": 7, "deep": 5, "wide": 9, "with dropout": 6}, {"wide": 4, "second": 8, "first": 6}, {"one": 1, "b": 3, "a": 5}
    studies = [{name: {what: rng.uniform(low, low + 0.3, n).tolist() for what, low in quantities.items()} for name, n in epochs.items()} for epochs in (*3 * sizes, {"alone": 6})]
    studies[0]["small"]["val_loss"] = [0.51, 0.62, 0.65, 0.66, 0.69, 0.7, 0.71]
    yield (studies,)


def all_chosen(function, studies):
    """Return the answers for all studies: one name or one epoch may be right by chance."""
    answers = [call(function, histories, name="selected") for histories in studies]
    for answer in answers:
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            fail(f"selected should return the name and the epoch; what came is {describe(answer)}.")
    return [list(part) for part in zip(*answers, strict=True)]


def choice(of=lambda h: min(h["val_loss"]), epoch=lambda h: np.argmin(h["val_loss"]) + 1, best=min):
    """Return what those write who judge a training, or its epochs, by something else."""

    def answer(histories):
        name = best(histories, key=lambda name: of(histories[name]))
        return name, epoch(histories[name])

    return answer


@exercise(
    "12.6",
    "the training to keep, and its epoch",
    cases=trainings,
    observe=all_chosen,
    returns=("the names", "the epochs"),
    demands=[lambda function, studies: demands.whole_numbers(lambda histories: call(function, histories)[1], studies[0])],
    hints=(
        "Each training is judged by its best epoch: one number for each history.",
        'That number is min(history["val_loss"]); min(histories, key=...) finds the name for which it is lowest.',
        'history["val_loss"].index(...) and np.argmin count from 0; epochs are counted from 1.',
    ),
    mistakes={
        "This is chosen by the training loss, which is lowest where a network has learnt its jets by heart. Choose by the validation loss.": choice(lambda h: min(h["loss"]), lambda h: np.argmin(h["loss"]) + 1),
        "The training was chosen by its training loss, which is lowest where a network has learnt its jets by heart. Choose it by the validation loss.": choice(lambda h: min(h["loss"])),
        "The training is right, but its epoch is that of the lowest training loss.": choice(epoch=lambda h: np.argmin(h["loss"]) + 1),
        "The last epochs were compared. A training is judged by its best epoch: that is the one whose weights are kept.": choice(lambda h: h["val_loss"][-1]),
        "The last epochs were compared, and the last one returned. A training is judged by its best epoch: that is the one whose weights are kept.": choice(lambda h: h["val_loss"][-1], lambda h: len(h["val_loss"])),
        "The training is right, but the epoch is its last one, after its validation loss has risen again.": choice(epoch=lambda h: len(h["val_loss"])),
        "The epoch is counted from 0, as the entries of a list are. The first epoch is 1 here.": choice(epoch=lambda h: np.argmin(h["val_loss"])),
        "This is chosen by the training loss, and the epoch counted from 0.": choice(lambda h: min(h["loss"]), lambda h: np.argmin(h["loss"])),
        "This is the *highest* validation loss. A loss is good when it is low.": choice(lambda h: max(h["val_loss"]), lambda h: np.argmax(h["val_loss"]) + 1, max),
        "This is the training whose lowest validation loss is the highest of all. A loss is good when it is low.": choice(best=max),
        "This is chosen by the validation accuracy. It counts right answers only, and not how sure they are: choose by the validation loss.": choice(lambda h: max(h["val_accuracy"]), lambda h: np.argmax(h["val_accuracy"]) + 1, max),
        "The training was chosen by its validation accuracy. Choose it by the validation loss.": choice(lambda h: max(h["val_accuracy"]), best=max),
        "The training is right, but its epoch is that of the highest validation accuracy.": choice(epoch=lambda h: np.argmax(h["val_accuracy"]) + 1),
        "This is chosen by the accuracy on the training jets. Choose by the validation loss.": choice(lambda h: max(h["accuracy"]), lambda h: np.argmax(h["accuracy"]) + 1, max),
        "The mean over all epochs was compared. A training is judged by its best epoch.": choice(lambda h: np.mean(h["val_loss"])),
        "The sum over all epochs was compared: that prefers the shortest training. A training is judged by its best epoch.": choice(lambda h: sum(h["val_loss"])),
        "The lists were compared, and Python compares lists by their first entries. Compare their minima.": choice(lambda h: h["val_loss"]),
        "This is the first training. Compare all of them.": lambda histories: ((name := next(iter(histories))), np.argmin(histories[name]["val_loss"]) + 1),
        "This is the last training. Compare all of them.": lambda histories: ((name := list(histories)[-1]), np.argmin(histories[name]["val_loss"]) + 1),
        "This is the first name of the alphabet: min(histories) alone compares names. It needs a key.": lambda histories: ((name := min(histories)), np.argmin(histories[name]["val_loss"]) + 1),
        "The histories have several lengths, and no array can be made of them. Look at one after the other.": lambda histories: (n := np.array([h["val_loss"] for h in histories.values()]).argmin()) and (list(histories)[n], n),
        "Only as many epochs were compared as the shortest training has.": lambda histories: (lambda n: choice()({name: {"val_loss": h["val_loss"][:n]} for name, h in histories.items()}))(min(len(h["loss"]) for h in histories.values())),
        "The two are exchanged: the name first.": lambda histories: selected(histories)[::-1],
        "The second is the loss; asked for is its epoch.": choice(epoch=lambda h: min(h["val_loss"])),
        "The first is the number of the training; asked for is its name.": lambda histories: (list(histories).index(selected(histories)[0]), selected(histories)[1]),
        "The first is the history; asked for is its name.": lambda histories: (histories[selected(histories)[0]], selected(histories)[1]),
        "should return the name and the epoch": lambda histories: selected(histories)[0],
        "they are no whole numbers for Python": choice(epoch=lambda h: np.argmin(h["val_loss"]) + 1.0),
    },
    accepted=[
        choice(epoch=lambda h: h["val_loss"].index(min(h["val_loss"])) + 1),
        lambda histories: list(min((loss, name, epoch) for name, h in histories.items() for epoch, loss in enumerate(h["val_loss"], start=1))[1:]),
        lambda histories: (lambda table: (table.min().idxmin(), table.min(axis=1).idxmin()))(pd.DataFrame({name: pd.Series(h["val_loss"], index=range(1, len(h["loss"]) + 1)) for name, h in histories.items()})),
        lambda histories: sorted([(name, np.argmin(h["val_loss"]) + 1) for name, h in histories.items()], key=lambda pair: histories[pair[0]]["val_loss"][pair[1] - 1])[0],
    ],
)
def selected(histories):
    name = min(histories, key=lambda name: min(histories[name]["val_loss"]))
    return name, int(np.argmin(histories[name]["val_loss"])) + 1


def outputs_of_networks():
    rng = np.random.default_rng(127)
    mild, small = scipy.special.softmax(rng.normal(0, 1, (6, 3)), axis=1), [1e-30, 1e-22, 1e-14, 1e-11]
    sure = [np.roll([1 - 2 * p, p, p], place) for p in small for place in (-1, 0, 1)]  # of b, light, and c
    yield np.concatenate([mild, sure]), 0.08
    for n, fraction, dtype in ((30, 0.08, np.float64), (3, 0.3, np.float64), (8, 0.0, np.float64), (5, 1, np.float32), (20, 0.65, np.float32)):
        logits = rng.normal(0, 2.5, (n, 3))
        yield scipy.special.softmax(logits, axis=1).astype(dtype), fraction


def cut_off(answer, right, large, **tolerance):
    """Whether an answer is right but for the entries of large size, and too small there."""
    answer = np.asarray(answer, dtype=float) if isinstance(answer, np.ndarray | np.number | float) else np.array(None)
    if answer.shape != right.shape:
        return False
    wrong = ~np.isclose(answer, right, **tolerance)
    return bool(wrong.any() and large[wrong].all() and (np.abs(answer) < np.abs(right))[wrong].all())


def discriminants(function, probabilities, fraction):
    answer, right = call(function, probabilities, fraction, name="discriminant"), discriminant(probabilities, fraction)
    if cut_off(answer, right, np.abs(right) > 20, rtol=1e-4, atol=1e-5):
        fail("D_b is right for jets of which the network is not too sure, and comes out too small for others, with probabilities down to 1e-30: it was cut off, or the probabilities were, or a small number was added to them. The logarithm of 1e-30 is an ordinary number, -69: take the formula as it stands.")
    return answer


def tagged(formula):
    """Return what those write who use another formula of light, c, b and f_c."""
    return lambda p, f: formula(*p.T, f)


@exercise(
    "12.7",
    "the discriminant D_b",
    cases=outputs_of_networks,
    observe=discriminants,
    returns=("the array of D_b",),
    tolerance={"rtol": 1e-4, "atol": 1e-5},
    hints=(
        "Take the three columns apart first. In which order does CLASSES name them?",
        "light, c, b = probabilities.T gives the three columns, (N,) each; probabilities[:, 2] is that of b.",
        "The denominator is a weighted mean of two of the columns, with the weights fraction and 1 - fraction; np.log is the natural logarithm.",
    ),
    mistakes={
        "The fraction is missing: the denominator is p_c + p_light, all that is not b. It should be their mean with the weights f_c and 1 - f_c.": tagged(lambda light, c, b, f: np.log(b / (c + light))),
        "The fraction is missing: the mean of p_c and p_light counts both alike. Their weights are f_c and 1 - f_c.": tagged(lambda light, c, b, f: np.log(b / ((c + light) / 2))),
        "c and light are exchanged: f_c belongs to p_c. In CLASSES light comes first.": tagged(lambda light, c, b, f: np.log(b / (f * light + (1 - f) * c))),
        "The columns were taken in the order b, c, light. In CLASSES light comes first and b last, and so do the outputs.": tagged(lambda light, c, b, f: np.log(light / (f * c + (1 - f) * b))),
        "The columns were taken in the order b, light, c. In CLASSES light comes first and b last, and so do the outputs.": tagged(lambda light, c, b, f: np.log(light / (f * b + (1 - f) * c))),
        "The columns were taken in the order c, b, light. In CLASSES light comes first and b last, and so do the outputs.": tagged(lambda light, c, b, f: np.log(c / (f * light + (1 - f) * b))),
        "The columns were taken in the order b, c, light, and the fraction is missing. CLASSES gives the order, the argument the fraction.": tagged(lambda light, c, b, f: np.log(light / (c + b))),
        "This is D_c: it asks for c against b and light.": tagged(lambda light, c, b, f: np.log(c / (f * b + (1 - f) * light))),
        "Only p_c has its weight, f_c. That of p_light is 1 - f_c.": tagged(lambda light, c, b, f: np.log(b / (f * c + light))),
        "1 - p_b was taken for p_light, but it is p_c and p_light together.": tagged(lambda light, c, b, f: np.log(b / (f * c + (1 - f) * (1 - b)))),
        "Only p_light has its weight, 1 - f_c. That of p_c is f_c.": tagged(lambda light, c, b, f: np.log(b / (c + (1 - f) * light))),
        "Both weights are f_c; that of p_light is 1 - f_c.": tagged(lambda light, c, b, f: np.log(b / (f * c + f * light))),
        "Parentheses are missing: p_light is subtracted with the weight f_c, and 1 is added, when 1 - f_c * p_light is written.": tagged(lambda light, c, b, f: np.log(b / (f * c + 1 - f * light))),
        "Parentheses are missing round the denominator: only its first term divides.": tagged(lambda light, c, b, f: np.log(b / np.where(f == 0, np.nan, f * c) + (1 - f) * light)),
        "Parentheses are missing round the denominator, and round its first term as well: b / f * c multiplies by c.": tagged(lambda light, c, b, f: np.log(b / np.float64(f) * c + (1 - f) * light)),
        "The logarithm is missing.": tagged(lambda light, c, b, f: b / (f * c + (1 - f) * light)),
        "The logarithm is missing, and the fraction, too.": tagged(lambda light, c, b, f: b / (c + light)),
        "This is the logarithm to base 10; ln is np.log.": tagged(lambda light, c, b, f: np.log10(b / (f * c + (1 - f) * light))),
        "This is np.log1p, the logarithm of one plus the ratio.": tagged(lambda light, c, b, f: np.log1p(b / (f * c + (1 - f) * light))),
        "The ratio is upside down: D_b is large for b jets.": tagged(lambda light, c, b, f: np.log((f * c + (1 - f) * light) / b)),
        "This is one logarithm divided by another. The logarithm is taken of the ratio.": tagged(lambda light, c, b, f: np.log(b) / np.log(f * c + (1 - f) * light)),
        "The weights stand outside the logarithms, a mean of two logarithms. The denominator is a mean of probabilities, and its logarithm is another.": tagged(lambda light, c, b, f: np.log(b) - f * np.log(c) - (1 - f) * np.log(light)),
        "p_b got a weight as well. Only the denominator has weights.": tagged(lambda light, c, b, f: np.log((1 - f) * b / (f * c + (1 - f) * light))),
        "p_b is in the denominator as well. It holds c and light alone.": tagged(lambda light, c, b, f: np.log(b / (f * c + (1 - f) * light + b))),
        "comes out too small for others": tagged(lambda light, c, b, f: np.log((b + 1e-12) / (f * c + (1 - f) * light + 1e-12))),
        "it was cut off, or the probabilities were": lambda p, f: discriminant(p, f).clip(-30, 30),
        "or the probabilities were, or a small number was added": lambda p, f: discriminant(p.clip(1e-15, 1), f),
        "was added to them. The logarithm of 1e-30": lambda p, f: discriminant(p, f).clip(-10, 10),
        "p_light was computed as 1 - p_b - p_c. Where it is small all its digits are lost: it is a column of its own.": tagged(lambda light, c, b, f: np.log(b / (f * c + (1 - f) * (1 - b - c)))),
        "p_light was computed as 1 - p_c - p_b. Where it is small all its digits are lost: it is a column of its own.": tagged(lambda light, c, b, f: np.log(b / (f * c + (1 - f) * (1 - c - b)))),
        "p_b was computed as 1 - p_light - p_c. Where it is small all its digits are lost: it is a column of its own.": tagged(lambda light, c, b, f: np.log((1 - light - c) / (f * c + (1 - f) * light))),
        "The denominator is 1 - p_b, without the fraction. It is a mean of p_c and p_light, with the weights f_c and 1 - f_c.": tagged(lambda light, c, b, f: np.log(b / (1 - b))),
        "The logarithm is taken of p_b alone, and divided by the denominator: the parenthesis closes too early. It is taken of the ratio.": tagged(lambda light, c, b, f: np.log(b) / (f * c + (1 - f) * light)),
        "A softmax, or its exponentials, was taken of the outputs. They are probabilities already, and a second softmax flattens them.": lambda p, f: discriminant(scipy.special.softmax(p, axis=1), f),
        "A fraction is built in. Use the argument.": lambda p, f: discriminant(p, 0.08),
        "A fraction of 0.1 is built in. Use the argument.": lambda p, f: discriminant(p, 0.1),
        "The rows were taken for the columns: probabilities[0] is the first jet. probabilities[:, 0] is the first class.": lambda p, f: np.log(p[2] / (f * p[1] + (1 - f) * p[0])),
        "Rows and columns are exchanged: `light, c, b = probabilities` takes three jets apart. Take the columns apart, those of probabilities.T.": lambda p, f: (lambda light, c, b: np.log(b / (f * c + (1 - f) * light)))(*p),
        "changes its input in place": lambda p, f: discriminant(np.multiply(p, 2, out=p), f),
        "come as a list": lambda p, f: discriminant(p, f).tolist(),
    },
    accepted=[
        tagged(lambda light, c, b, f: np.log(b) - np.log(f * c + (1 - f) * light)),
        lambda p, f: np.log(p[:, CLASSES.index("b")] / (p[:, :2] @ [1 - f, f])),
        lambda p, f: np.array([math.log(b / (f * c + (1 - f) * light)) for light, c, b in p]),
        lambda p, f: -np.log(np.average(p[:, :2], axis=1, weights=[1 - f, f]) / p[:, -1]),
        lambda p, f: (lambda z: z[:, 2] - scipy.special.logsumexp(z[:, :2], b=[1 - f, f], axis=1))(np.log(p)),
    ],
)
def discriminant(probabilities, fraction):
    light, c, b = probabilities.T  # as CLASSES has them
    return np.log(b / (fraction * c + (1 - fraction) * light))


def tagged_jets():
    rng = np.random.default_rng(1280)
    for n, efficiency in (((397, 150, 403), 0.77), ((334, 90, 300), 0.70), ((445, 200, 120), 0.85), ((350, 180, 260), 0.80), ((310, 140, 200), 0.65)):
        # 305.69 of 397 jets, 233.8, 378.25, exactly 280, and 201.5
        b, c, light = (rng.normal(*of, size) for of, size in zip(((4, 2), (0, 2.2), (-3, 2.5)), n, strict=True))
        if n[0] == 310:
            b, c, light = (values.round(1) for values in (b, c, light))  # several jets have the same value
        cut = np.sort(b)[::-1][math.ceil(efficiency * n[0]) - 1]
        if n[2] in (120, 300):  # no light jet comes near
            light -= light.max() - b.min() + 1
        c[:3] = cut  # some lie at the cut itself
        light[0] = cut if n[2] != 300 else light[0]  # of 120 light jets a single one
        order = rng.permutation(sum(n))
        d_b, numbers = np.concatenate([b, c, light])[order] - 3.5 * (n[1] == 90), np.repeat([2, 1, 0], n)[order]
        yield d_b.astype(np.float32 if n[1] == 200 else float), numbers, efficiency


def takes_codes(function, d_b, numbers, efficiency):
    """Whether the function finds a cut when the classes have their codes, 0, 4 and 5, in the place of numbers."""
    try:
        cut = float(function(d_b.copy(), np.array([0, 4, 5])[numbers], efficiency)[0])
    except Exception:
        return False
    return bool(0 < (d_b[numbers == 2] >= cut).mean() < 1)


def lower(d_b, numbers, efficiency):
    return float(np.quantile(d_b[numbers == 2].astype(float), 1 - efficiency, method="lower"))


def takes_the_lower(function):
    """Whether the cut is np.quantile's with method="lower" in all cases: the share is kept, at times with one jet more."""
    for d_b, numbers, efficiency in tagged_jets():
        try:
            cut = float(function(d_b.copy(), numbers.copy(), efficiency)[0])
        except Exception:
            continue
        if cut != lower(d_b, numbers, efficiency):
            return False
    return True


def point(function, d_b, numbers, efficiency):
    """Return the cut and the rejections; say of a wrong cut what it is, by the jets that pass it."""
    codes = "The classes were looked for by their codes, 5, 4 and 0, and there is no jet of 5. `numbers` holds class numbers: b is 2, c is 1 and light 0."
    try:
        answer = call(function, d_b, numbers, efficiency, name="working_point")
    except Mistake:
        if takes_codes(function, d_b, numbers, efficiency):
            fail(codes)
        raise
    if not isinstance(answer, tuple | list | np.ndarray) or len(answer) != 3:
        fail(f"working_point should return the cut and the rejections of c and light jets; what came is {describe(answer)}.")
    cut, *rejections = answer
    try:
        cut = float(cut)
    except (TypeError, ValueError):
        fail(f"the cut should be a number; what came is {describe(cut)}.")
    if math.isnan(cut) and takes_codes(function, d_b, numbers, efficiency):
        fail(codes)
    if reason := near_the_cut(cut, d_b, numbers, efficiency) or far_from_the_cut(cut, d_b, numbers, efficiency):
        fail(reason)
    right = working_point(d_b, numbers, efficiency)
    if cut != right[0] and takes_the_lower(function):  # as good as the right one, and so are the rejections at it
        at_it = [np.float64((numbers == k).sum()) / ((numbers == k) & (d_b >= cut)).sum() for k in (1, 0)]
        cut, rejections = right[0], [right[k] if describe(rejections[k - 1]) == describe(at_it[k - 1]) else rejections[k - 1] for k in (1, 2)]
    return cut, *rejections


def near_the_cut(cut, d_b, numbers, efficiency):
    """Say what is wrong with a cut that is off by a jet or two, or by part of one."""
    b_jets = d_b[numbers == 2].astype(float)
    right, n = working_point(d_b, numbers, efficiency)[0], len(b_jets)
    if cut in (right, lower(d_b, numbers, efficiency)):
        return ""
    values = np.unique(b_jets)
    at, passes = np.searchsorted(values, float(right)), int((b_jets >= cut).sum())
    if not values[max(at - 2, 0)] <= cut <= values[min(at + 2, len(values) - 1)]:
        return ""
    if cut > right and cut not in values:
        return f"The cut lies between two b jets, and {passes} of {n} pass, a jet fewer than the share of {efficiency}. np.quantile goes between two values unless it is told a `method`: the highest cut that enough jets pass is the D_b of one of them."
    if cut > right:
        return f"The cut is one jet too high: {passes} of {n} b jets pass, and the share of {efficiency} is not reached yet."
    if cut not in values:
        return f"The cut is not the highest: {passes} of {n} b jets pass, which is enough for the share of {efficiency}, but it lies a little below the last of them. The highest cut that this jet passes is its own D_b; np.quantile goes between two values unless it is told a `method`."
    return f"The cut is one jet too low: {passes} of {n} b jets pass, and the share of {efficiency} was reached before."


def far_from_the_cut(cut, d_b, numbers, efficiency):
    """Say of which jets a cut is the quantile, and of which share, whatever way it was computed."""
    b_jets = d_b[numbers == 2]
    if cut in (working_point(d_b, numbers, efficiency)[0], lower(d_b, numbers, efficiency)):
        return ""
    beside = "The values were sorted, and the class numbers were not: they no longer belong to the same jets. Take the b jets out first, and sort these."
    built_in = "An efficiency is built in. Use the argument."
    of_all = "The cut is a quantile of all jets. The efficiency is a share of the b jets."
    quantiles = [
        (np.sort(d_b)[numbers == 2], efficiency, beside),
        (np.sort(d_b)[::-1][numbers == 2], efficiency, beside),
        (d_b, efficiency, of_all),
        (d_b, 1 - efficiency, "The cut is a quantile of all jets, and of the wrong share. The efficiency is a share of the b jets, those that pass."),
        (d_b[numbers == 0], efficiency, "The cut is a quantile of the light jets. The efficiency is a share of the b jets, number 2; light is 0."),
        (d_b[numbers == 1], efficiency, "The cut is a quantile of the c jets. The efficiency is a share of the b jets, number 2; c is 1."),
        (d_b[numbers < 2], efficiency, "The cut is a quantile of all jets but the b jets. The efficiency is a share of the b jets, number 2."),
        (d_b[numbers == 0], 1 - efficiency, "The cut is a quantile of the light jets, and of the wrong share. The efficiency is a share of the b jets, number 2, those that pass."),
        (d_b[numbers == 1], 1 - efficiency, "The cut is a quantile of the c jets, and of the wrong share. The efficiency is a share of the b jets, number 2, those that pass."),
        (b_jets, 1 - efficiency, "The cut is the quantile `efficiency` of the b jets, or they were sorted upwards and counted from below: this share lies below the cut, and so fails. Asked for is the share that passes."),
        (np.unique(b_jets), efficiency, "np.unique drops jets that have the same D_b as another one. Each of them counts: np.sort keeps them all."),
        *((b_jets, other, built_in) for other in (0.5, 0.7, 0.77, 0.85)),
    ]
    for values, share, reason in quantiles:
        if abs((values >= cut).mean() - share) < 2.1 / len(values):  # a jet more or less, as it was computed
            return reason
    if cut == d_b.min():
        return "The cut is the lowest D_b of all: every jet passes, and no class is rejected."
    if cut == b_jets.min():
        return "The cut is the lowest D_b of the b jets: all of them pass, and not the share that was asked for."
    if any(np.percentile(b_jets, of, method="lower") <= cut <= np.percentile(b_jets, of, method="higher") for of in (efficiency, 1 - efficiency)):
        return "Nearly all b jets pass the cut: np.percentile takes percents, and has got a share."
    return ""


def jet_of(b_jets, efficiency):
    return np.sort(b_jets)[::-1][math.ceil(efficiency * len(b_jets)) - 1]


def passed(cut=lambda d_b, numbers, e: jet_of(d_b[numbers == 2], e), share=lambda d_b, numbers, k, cut: (d_b[numbers == k] >= cut).mean(), order=(1, 0), what=lambda share: np.float64(1) / share):
    """Return what those write who take one step in another way."""

    def answer(d_b, numbers, efficiency):
        at = cut(d_b, numbers, efficiency)
        return at, *(what(share(d_b, numbers, k, at)) for k in order)

    return answer


def of_b(cut):
    """Return the answer of those who find the cut of the b jets in their way."""
    return passed(lambda d, y, e: cut(d[y == 2], e))


@exercise(
    "12.8",
    "cut and rejections of a working point",
    cases=tagged_jets,
    observe=point,
    harmless={
        "accepted 10: len(b) + 1": "An efficiency of 1 is no working point.",
    },
    returns=("the cut", "the rejection of c jets", "the rejection of light jets"),
    tolerance={"rtol": 1e-6},
    hints=(
        "The cut is the D_b of one of the b jets, and the others do not matter for it: with which one is the share reached, when they are counted from the highest?",
        "np.sort(...)[::-1] has the highest first, and math.ceil(efficiency * n) is how many have to pass: the last of these is the entry of this number minus 1. Without method=\"lower\" np.quantile goes between two jets, and the share may be missed.",
        "(d_b[numbers == 1] >= cut).mean() is the efficiency of c jets; the rejection is one over it, np.inf where it is 0.",
    ),
    mistakes={
        "The cut lies between two b jets": of_b(lambda b, e: np.quantile(b, 1 - e)),
        "np.quantile goes between two values unless it is told a `method`": of_b(lambda b, e: pd.Series(b).quantile(1 - e)),
        "a jet fewer than the share": of_b(lambda b, e: np.quantile(b, 1 - e, method="midpoint")),
        "The cut is not the highest": of_b(lambda b, e: jet_of(b, e) - 1e-3),
        "which is enough for the share": of_b(lambda b, e: (jet_of(b, e) + b[b < jet_of(b, e)].max()) / 2),
        "it lies a little below the last of them": of_b(lambda b, e: np.quantile(b, 1 - e) if len(b) % 2 == 0 else jet_of(b, e)),
        "The cut is one jet too high": of_b(lambda b, e: np.quantile(b, 1 - e, method="higher")),
        "the share of 0.77 is not reached yet": of_b(lambda b, e: np.sort(b)[int((1 - e) * len(b)) + 1]),
        "the share of 0.85 is not reached yet": of_b(lambda b, e: np.sort(b)[-round(e * len(b))]),
        "b jets pass, and the share of 0.85 is not": of_b(lambda b, e: min(b, key=lambda cut: abs((b >= cut).mean() - e))),
        "The cut is one jet too low": of_b(lambda b, e: np.sort(b)[int((1 - e) * len(b)) - 1]),
        "the share of 0.77 was reached before": of_b(lambda b, e: np.sort(b)[::-1][math.ceil(e * len(b))]),
        "The cut is one jet too low where efficiency * n is a whole number: entry int(efficiency * n) of the jets, the highest first, has this number of jets *above* it, since entries are counted from 0, and passes as well. method=\"inverted_cdf\" of 1 - efficiency does the same; and (1 - 0.8) * 350 is 69.99999999999999 for Python, of which int makes 69. The last jet that has to pass is the entry math.ceil(efficiency * n) - 1.": of_b(lambda b, e: np.sort(b)[::-1][int(e * len(b))]),
        "np.unique drops jets": of_b(lambda b, e: jet_of(np.unique(b), e)),
        "np.unique has dropped jets that have the same D_b as another one. Each of them counts, with method=\"lower\" as well.": of_b(lambda b, e: np.quantile(np.unique(b), 1 - e, method="lower")),
        "The cut is the quantile `efficiency` of the b jets": of_b(lambda b, e: np.quantile(b, e)),
        "or they were sorted upwards and counted from below": of_b(lambda b, e: np.sort(b)[int(e * len(b))]),
        "this share lies below the cut, and so fails": of_b(lambda b, e: np.quantile(b, e, method="lower")),
        "The cut is a quantile of all jets. The efficiency is a share": passed(lambda d, y, e: np.quantile(d, 1 - e)),
        "The efficiency is a share of the b jets.": passed(lambda d, y, e: jet_of(d, e)),
        "The cut is a quantile of all jets, and of the wrong share": passed(lambda d, y, e: np.quantile(d, e)),
        "The cut is a quantile of the light jets": passed(lambda d, y, e: np.quantile(d[y == 0], 1 - e)),
        "The cut is a quantile of the light jets, and of the wrong share": passed(lambda d, y, e: np.quantile(d[y == 0], e)),
        "The cut is a quantile of the c jets, and of the wrong share": passed(lambda d, y, e: np.quantile(d[y == 1], e)),
        "number 2; light is 0": passed(lambda d, y, e: jet_of(d[y == 0], e), order=(1, 2)),
        "The cut is a quantile of the c jets": passed(lambda d, y, e: jet_of(d[y == 1], e)),
        "The cut is a quantile of all jets but the b jets": passed(lambda d, y, e: jet_of(d[y < 2], e)),
        "The values were sorted, and the class numbers were not": lambda d, y, e: working_point(np.sort(d), y, e),
        "they no longer belong to the same jets": lambda d, y, e: working_point(np.sort(d)[::-1], y, e),
        "Take the b jets out first, and sort these": passed(lambda d, y, e: np.quantile(np.sort(d)[y == 2], 1 - e)),
        "The classes were looked for by their codes": lambda d, y, e: (lambda cut: (cut, *(1 / (d[y == code] >= cut).mean() for code in (4, 0))))(pd.Series(d[y == 5]).quantile(1 - e)),
        "there is no jet of 5": lambda d, y, e: (lambda cut: (cut, *(1 / (d[y == code] >= cut).mean() for code in (4, 0))))(jet_of(d[y == 5], e)),
        "The c jets were looked for by their code, 4. `numbers` holds class numbers: c is 1.": passed(order=(4, 0)),
        "The c jets were looked for by their code, 4, of which there is none, and so none passes. `numbers` holds class numbers: c is 1.": passed(order=(4, 0), what=lambda share: 1 / share if share > 0 else np.inf),
        "The cut is the lowest D_b of all": passed(lambda d, y, e: d.min()),
        "The cut is the lowest D_b of the b jets": of_b(lambda b, e: b.min()),
        "The two rejections are exchanged: first that of c, number 1, then that of light jets, number 0.": passed(order=(0, 1)),
        "The second rejection is that of b jets. Light jets have number 0.": passed(order=(1, 2)),
        "The cut is the efficiency itself. D_b is no probability, and 77% of the b jets do not lie above 0.77.": passed(lambda d, y, e: e),
        "The cut is 1 - efficiency itself. D_b is no probability: look for the value that this share of the b jets does not reach.": passed(lambda d, y, e: 1 - e),
        "An efficiency is built in": of_b(lambda b, e: jet_of(b, 0.7)),
        "is built in. Use the argument": of_b(lambda b, e: np.median(b)),
        "Nearly all b jets pass the cut": of_b(lambda b, e: np.percentile(b, 1 - e)),
        "np.percentile takes percents, and has got a share": of_b(lambda b, e: np.percentile(b, e)),
        "`>` leaves out jets that lie at the cut. They pass: >=.": passed(share=lambda d, y, k, cut: (d[y == k] > cut).mean()),
        "`<=` counts the jets below the cut. Those above pass: >=.": passed(share=lambda d, y, k, cut: (d[y == k] <= cut).mean()),
        "These are efficiencies. The rejection is one over it.": passed(what=lambda share: share),
        "These are efficiencies, light before c. The rejection is one over it, and c comes first.": passed(order=(0, 1), what=lambda share: share),
        "These are the shares of jets that fail. The rejection is one over the share that passes.": passed(what=lambda share: 1 - share),
        "These are one over the shares of jets that fail. The rejection is one over the share that passes: jets lie above the cut, not below.": passed(what=lambda share: 1 / (1 - share)),
        "These are the numbers of jets that pass. The rejection is all jets of the class over these.": passed(share=lambda d, y, k, cut: (d[y == k] >= cut).sum(), what=lambda n: n),
        "It is one over the number of jets that pass. An efficiency is a share of the jets of the class.": passed(share=lambda d, y, k, cut: (d[y == k] >= cut).sum()),
        "The jets that pass were divided by all jets of the sample. An efficiency is a share of the jets of its own class.": passed(share=lambda d, y, k, cut: ((d >= cut) & (y == k)).mean()),
        "The jets that pass were divided by all jets that pass. An efficiency is a share of the jets of its own class.": passed(share=lambda d, y, k, cut: (y[d >= cut] == k).mean()),
        "c and light were taken together. Each class has a rejection of its own.": passed(share=lambda d, y, k, cut: (d[y < 2] >= cut).mean()),
        "All jets but those of the class were counted. `numbers == 1` are the c jets.": passed(share=lambda d, y, k, cut: (d[y != k] >= cut).mean()),
        "Where no jet passes the rejection is infinite: with 0 this tagger would seem the worst of all.": passed(what=lambda share: 1 / share if share else 0),
        "with 0 this tagger would seem the worst of all": passed(lambda d, y, e: lower(d, y, e), what=lambda share: 1 / share if share else 0),
        "Where no jet passes the rejection is infinite, as agreed; NaN means that nothing is known.": passed(what=lambda share: 1 / share if share else np.nan),
        "Where no jet passes one was counted. That is a limit, not the value: infinity was agreed.": passed(share=lambda d, y, k, cut: max((d[y == k] >= cut).sum(), 1) / (y == k).sum()),
        "Where no jet passes a small number was put in, or added, against the division by zero. Infinity was agreed: np.inf.": passed(what=lambda share: 1 / max(share, 1e-9)),
        "Where no jet passes, numbers of Python cannot be divided by zero. Return np.inf there.": passed(what=lambda share: 1 / float(share)),
        "The cut comes last here; it is first.": lambda *jets: (*working_point(*jets)[1:], working_point(*jets)[0]),
        "working_point should return the cut and the rejections": lambda *jets: working_point(*jets)[1:],
        "the cut should be a number": lambda *jets: (jets[0] >= working_point(*jets)[0], *working_point(*jets)[1:]),
        "changes its input in place": lambda *jets: (working_point(*jets), jets[0].sort())[0],
    },
    accepted=[
        passed(),
        lambda *jets: np.array(passed()(*jets)),
        of_b(lambda b, e: np.quantile(b, 1 - e, method="lower")),
        of_b(lambda b, e: np.percentile(b, 100 * (1 - e), method="lower")),
        of_b(lambda b, e: pd.Series(b).quantile(1 - e, interpolation="lower")),
        of_b(lambda b, e: -np.quantile(-b, e, method="higher")),
        of_b(lambda b, e: -np.quantile(-b, e, method="inverted_cdf")),
        of_b(lambda b, e: np.sort(b)[-math.ceil(e * len(b))]),
        of_b(lambda b, e: np.sort(b)[len(b) - math.ceil(e * len(b))]),
        of_b(lambda b, e: np.sort(b)[::-1][(np.arange(1, len(b) + 1) / len(b) >= e).argmax()]),
        of_b(lambda b, e: max(cut for cut in b if (b >= cut).mean() >= e)),
        passed(lambda d, y, e: max(cut for cut in d if (d[y == 2] >= cut).mean() >= e)),
        passed(lambda d, y, e: sorted(d[y == 2], reverse=True)[math.ceil(e * np.sum(y == 2)) - 1], what=lambda share: 1 / share if share > 0 else math.inf),
        lambda d, y, e: ((cut := pd.Series(d[y == 2]).nlargest(math.ceil(e * np.sum(y == 2))).iloc[-1]), *(np.divide(np.sum(y == k), np.sum((y == k) & (d >= cut))) for k in (1, 0))),
    ],
)
def working_point(d_b, numbers, efficiency):
    b_jets = np.sort(d_b[numbers == 2])[::-1]  # the highest first
    cut = b_jets[int(np.ceil(efficiency * len(b_jets))) - 1]  # the jet with which the share is reached
    efficiencies = [(d_b[numbers == number] >= cut).mean() for number in (1, 0)]
    return cut, *(1 / share if share > 0 else np.inf for share in efficiencies)


def logits_and_targets():
    rng = np.random.default_rng(1210)
    for n, scale in ((8, 1.5), (1, 2.0), (3, 1.0), (6, 150.0)):
        weights = rng.uniform(0.2, 4, n)
        if n > 5:
            weights[1] = 0
        targets = np.stack([rng.permutation(np.arange(n) % 3), weights], axis=1)
        yield tuple(torch.tensor(array, dtype=torch.float32) for array in (rng.normal(0, scale, (n, 3)), targets))


def loss_of_a_batch(function, logits, targets):
    loss = call(function, logits, targets, name="weighted_loss")
    if not torch.is_tensor(loss):
        fail(f"The loss should be a tensor, through which backward() goes back to the network; what came is {describe(loss)}.")
    right = weighted_loss(logits, targets)
    if logits.abs().max() > 50 and loss.shape == right.shape and loss.isnan():
        fail("The loss is NaN where logits are large: torch.exp of them is infinite, or 0 for all classes of a jet, and neither infinity over infinity nor 0 over 0 is a number. F.cross_entropy and log_softmax subtract the largest logit of each jet first.")
    if logits.abs().max() > 50 and cut_off(loss.detach().numpy(), right.numpy(), np.array(True), rtol=1e-4):
        fail("The loss is right for small logits, and comes out too small for large ones: logits or probabilities were kept within limits, or a small number was added before the logarithm. Then losses are cut off, and their gradients with them. F.cross_entropy takes the logits as they are.")
    return loss


def entropies(x, t):
    return F.cross_entropy(x, t[:, 0].long(), reduction="none")


def averaged(losses=entropies, weights=lambda t: t[:, 1], reduce=lambda losses, w: (w * losses).mean()):
    return lambda x, t: reduce(losses(x, t), weights(t))


def picked(x, t):
    return x[torch.arange(len(x)), t[:, 0].long()]


@exercise(
    "12.9",
    "the weighted cross-entropy of a batch",
    cases=logits_and_targets,
    observe=loss_of_a_batch,
    returns=("the loss",),
    demands=[demands.gradient],
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "F.cross_entropy takes logits and whole numbers of classes; the column of class numbers is of floats.",
        'reduction="none" gives one loss for each jet, (B,), which can be multiplied by the weights.',
        "targets[:, 0].long() are the class numbers, targets[:, 1] the weights; .mean() at the end divides by B.",
    ),
    mistakes={
        "A softmax stands before the loss: F.cross_entropy takes logits and applies one itself. Two softmaxes flatten all answers, and the network can never be sure. Give it the logits as they are.": averaged(lambda x, t: entropies(x.softmax(dim=1), t)),
        "A sigmoid stands before the loss. F.cross_entropy takes logits: give it those as they are.": averaged(lambda x, t: entropies(x.sigmoid(), t)),
        "The softmax, or torch.exp, and then the logarithm: a large logit makes a probability of 0 exactly, or an infinite exponential, and the logarithm is infinite. F.cross_entropy and torch.logsumexp do both at once.": averaged(lambda x, t: -torch.log(picked(x.softmax(dim=1), t))),
        "The loss is NaN where logits are large": averaged(lambda x, t: -torch.log(picked(x.exp() / x.exp().sum(dim=1, keepdim=True), t))),
        "neither infinity over infinity nor 0 over 0": averaged(lambda x, t: torch.log(x.exp().sum(dim=1)) - torch.log(picked(x, t).exp())),
        "comes out too small for large ones": averaged(lambda x, t: -torch.log(picked(x.softmax(dim=1), t).clamp(min=1e-7))),
        "or a small number was added before the logarithm": averaged(lambda x, t: -torch.log(picked(x.softmax(dim=1), t) + 1e-9)),
        "logits or probabilities were kept within limits": averaged(lambda x, t: entropies(x.clamp(-20, 20), t)),
        "The softmax runs over the jets of the batch. Each jet's probabilities add up to one: dim=1.": averaged(lambda x, t: -picked(x.log_softmax(dim=0), t)),
        "A softmax stands before the loss, and runs over the jets of the batch. F.cross_entropy takes logits and applies one itself, over the classes.": averaged(lambda x, t: entropies(x.softmax(dim=0), t)),
        "The mean runs over jets and classes, (B, 3), of which two of three entries are 0: the loss is three times too small. Add over the classes, and divide by B.": averaged(reduce=lambda losses, w: (w * losses).mean() / 3),
        "The mean runs over jets and classes, (B, 3), and the weights are missing. Add over the classes, and divide by B.": averaged(reduce=lambda losses, w: losses.mean() / 3),
        "F.nll_loss takes logarithms of probabilities, and has got logits.": averaged(lambda x, t: -picked(x, t)),
        "F.nll_loss takes logarithms of probabilities, and has got probabilities.": averaged(lambda x, t: -picked(x.softmax(dim=1), t)),
        "The weights are missing.": averaged(weights=lambda t: torch.ones(len(t))),
        "The weights are missing, and a softmax stands before the loss.": averaged(lambda x, t: entropies(x.softmax(dim=1), t), weights=lambda t: torch.ones(len(t))),
        "The sum is divided by the sum of the weights. Asked for is the mean over the batch, divided by B: with the other one, a batch of unimportant jets would move the network as far as one of important ones.": averaged(reduce=lambda losses, w: (w * losses).sum() / w.sum()),
        "The weights were divided by the largest of the batch. Take them as they are.": averaged(weights=lambda t: t[:, 1] / t[:, 1].max()),
        "This is the sum over the batch. The mean does not change with the batch size.": averaged(reduce=lambda losses, w: (w * losses).sum()),
        "The mean of the losses was multiplied by the mean of the weights: F.cross_entropy averages unless it is told reduction=\"none\", or a column of shape (B, 1) times a row of shape (B,) made a table of all pairs. Each loss has its own weight.": averaged(reduce=lambda losses, w: losses.mean() * w.mean()),
        "The columns are exchanged: the class is in the first, the weight in the second.": averaged(lambda x, t: F.cross_entropy(x, t[:, 1].long(), reduction="none"), weights=lambda t: t[:, 0]),
        "The class number itself is the weight here. It is in the first column, the weight in the second.": averaged(weights=lambda t: t[:, 0]),
        "The weights were squared.": averaged(weights=lambda t: t[:, 1] ** 2),
        "It is divided by the weights. Jets of large weight should count more.": averaged(reduce=lambda losses, w: (losses / w).mean()),
        "The logits were multiplied by the weights. That is another answer of the network; it is the loss that has a weight.": averaged(lambda x, t: entropies(x * t[:, 1:], t), weights=lambda t: torch.ones(len(t))),
        "The sign is reversed: this climbs the loss.": lambda x, t: -weighted_loss(x, t),
        "The order of the classes is reversed: column 0 of the logits belongs to class 0.": averaged(lambda x, t: entropies(x.flip(1), t)),
        "This is the squared error. Use the cross-entropy, which punishes being certain and wrong.": averaged(lambda x, t: ((x.softmax(dim=1) - F.one_hot(t[:, 0].long(), 3)) ** 2).sum(dim=1)),
        "This is a cross-entropy of three yes-or-no questions. The three classes exclude each other: one softmax, F.cross_entropy.": averaged(lambda x, t: F.binary_cross_entropy_with_logits(x, F.one_hot(t[:, 0].long(), 3).float(), reduction="none").mean(dim=1)),
        "This is a cross-entropy of three yes-or-no questions, added. The three classes exclude each other: one softmax, F.cross_entropy.": averaged(lambda x, t: F.binary_cross_entropy_with_logits(x, F.one_hot(t[:, 0].long(), 3).float(), reduction="none").sum(dim=1)),
        "Jets of weight zero were left out of the mean. They count in B.": averaged(reduce=lambda losses, w: (w * losses)[w > 0].mean()),
        "These are the losses of the jets, one each. A training goes down one number: their mean.": averaged(reduce=lambda losses, w: w * losses),
        "The shape is (1,). A loss is one number without an axis.": lambda x, t: weighted_loss(x, t)[None],
        "The class numbers are floats, and the loss takes those for something else. Make them whole numbers.": lambda x, t: (t[:, 1] * F.cross_entropy(x, t[:, 0], reduction="none")).mean(),
        "The argument weight= takes one weight for each class, not for each jet.": lambda x, t: F.cross_entropy(x, t[:, 0].long(), weight=t[:, 1]),
        "The loss should be a tensor": lambda x, t: weighted_loss(x, t).item(),
        "has no gradient any more": lambda x, t: weighted_loss(x.detach(), t),
        "a new tensor made of its values cut the chain": lambda x, t: torch.tensor(weighted_loss(x, t).item(), requires_grad=True),
        "changes its input in place": lambda x, t: (weighted_loss(x, t), t.fill_(1))[0],
    },
    accepted=[
        averaged(lambda x, t: torch.logsumexp(x, dim=1) - picked(x, t)),
        averaged(lambda x, t: F.nll_loss(x.log_softmax(dim=1), t[:, 0].to(torch.int64), reduction="none")),
        averaged(lambda x, t: -(F.one_hot(t[:, 0].long(), 3) * F.log_softmax(x.double(), dim=1)).sum(dim=1)),
        averaged(reduce=lambda losses, w: losses @ w / len(w)),
        averaged(lambda x, t: F.cross_entropy(x, F.one_hot(t[:, 0].long(), num_classes=3).float(), reduction="none")),
        lambda x, t: sum(w * F.cross_entropy(row[None], k.long()[None]) for row, (k, w) in zip(x, t, strict=True)) / len(x),
    ],
)
def weighted_loss(logits, targets):
    losses = F.cross_entropy(logits, targets[:, 0].long(), reduction="none")  # (B,)
    return (targets[:, 1] * losses).mean()


def too_sure():
    rng = np.random.default_rng(129)
    for n, k, temperature in ((12, 3, 2.5), (5, 5, 0.5), (3, 2, 1.3), (1, 3, 4.0)):
        yield scipy.special.softmax(rng.normal(0, 2, (n, k)), axis=1), temperature
    yield scipy.special.softmax(rng.normal(0, 1, (9, 3)), axis=1).astype(np.float32), 1.7


def rows_to_one(x):
    return x / x.sum(axis=1, keepdims=True)


def cooled(logits=np.log, by=lambda T: T, end=lambda z: scipy.special.softmax(z, axis=1)):
    return lambda p, T: end(logits(p) / by(T))


@exercise(
    "12.10",
    "probabilities at a temperature",
    cases=too_sure,
    returns=("the array of probabilities",),
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "Three steps: back to logits, the division, and a softmax along each row.",
        "np.log(probabilities) are logits; a softmax is np.exp of them, divided by its sum over the classes of the jet.",
        "exp(ln(p) / T) is p to the power 1 / T. The rows then no longer add up to one: divide each by its .sum(axis=1, keepdims=True).",
    ),
    mistakes={
        "A softmax was taken of the probabilities: two softmaxes, one in the network and one here, flatten all answers. Go back to the logits first.": cooled(np.positive),
        "A softmax was taken of the result as well. It is a probability already: one softmax is enough.": lambda p, T: scipy.special.softmax(tempered(p, T), axis=1),
        "A softmax was taken of the probabilities, and the temperature is missing.": cooled(np.positive, lambda T: 1),
        "Exponentials were taken of the probabilities divided by the temperature, and not divided by their sum.": cooled(np.positive, end=np.exp),
        "The probabilities were divided by the temperature. The rows then no longer add up to one: it is the logits that are divided.": lambda p, T: p / T,
        "Nothing has changed. The temperature is missing, or cancels: it does so where the probabilities are divided by it and then by their sum, and where ln(p / T) or ln p - T is taken. It is the logits that are divided.": lambda p, T: rows_to_one(p / T),
        "It is multiplied by the temperature. A temperature above 1 should make the network less sure.": cooled(by=lambda T: 1 / T),
        "The rows do not add up to one: divide each by its sum.": cooled(end=np.exp),
        "The sum runs over the jets. Each jet's probabilities add up to one: axis=1.": cooled(end=lambda z: scipy.special.softmax(z, axis=0)),
        "There is one sum for the whole array. Each jet's probabilities add up to one: axis=1.": cooled(end=scipy.special.softmax),
        "keepdims is missing: the sum of each jet was divided by as if it were that of a class. Keep the axis.": cooled(end=lambda z: np.exp(z) / np.exp(z).sum(axis=1)),
        "The rows were divided by their largest entry. Divide by the sum.": cooled(end=lambda z: np.exp(z - z.max(axis=1, keepdims=True))),
        "These are the divided logits. A softmax makes probabilities of them.": cooled(end=np.positive),
        "These are logarithms of the probabilities. Leave the last logarithm out.": cooled(end=lambda z: scipy.special.log_softmax(z, axis=1)),
        "The logit of *one* probability, ln(p / (1 - p)), belongs to the sigmoid of two classes. For the softmax it is ln p.": cooled(scipy.special.logit),
        "Logit and sigmoid belong to two classes, and the rows do not add up to one. Here it is the logarithm and the softmax.": cooled(scipy.special.logit, end=scipy.special.expit),
        "A sigmoid stands where the softmax should.": cooled(end=scipy.special.expit),
        "The logarithm is that to base 10, the exponential that of e. The inverse of np.exp is np.log.": cooled(np.log10),
        "This is ln(1 + p). A logit is ln p.": cooled(np.log1p),
        "A temperature of 2 is built in. Use the argument.": cooled(by=lambda T: 2),
        "The temperature was squared.": cooled(by=lambda T: T**2),
        "The square root was taken of the temperature. Divide by the temperature itself.": cooled(by=np.sqrt),
        "The smallest probabilities were cut off before the logarithm. Keep them as they are.": cooled(lambda p: np.log(p.clip(0.05))),
        "A number as large as 0.001 was added before the logarithm. The smallest probabilities do not survive that.": cooled(lambda p: np.log(p + 0.001)),
        "The minus sign is one too many: what was likely is unlikely now.": cooled(by=lambda T: -T),
        "Three classes are built in. There may be any number of them.": lambda p, T: (lambda light, c, b: rows_to_one(np.stack([light, c, b], axis=1) ** (1 / T)))(*p.T),
        "Three columns are built in. With five classes two are lost, and with two there is none of number 2: take the array as a whole.": lambda p, T: rows_to_one(np.stack([p[:, k] ** (1 / T) for k in range(3)], axis=1)),
        "Three columns are built in, and the others stay 0, or as they were. Take the array as a whole.": lambda p, T: np.pad(rows_to_one(p[:, :3] ** (1 / T)), ((0, 0), (0, max(p.shape[1] - 3, 0)))),
        "Three columns are built in, and the others are 0, though they took part in the sum. Take the array as a whole.": lambda p, T: tempered(p, T) * (np.arange(p.shape[1]) < 3),
        "Three columns are added up, however many there are. Each row is divided by its whole sum: .sum(axis=1, keepdims=True).": lambda p, T: (q := p ** (1 / T)) / (q[:, :1] + q[:, 1:2] + q[:, 2:3]),
        "changes its input in place": lambda p, T: (tempered(p, T), p.fill(1))[0],
        "come as a list": lambda p, T: tempered(p, T).tolist(),
        "come as a Tensor": lambda p, T: (torch.tensor(p).log() / T).softmax(dim=1),
    },
    accepted=[
        cooled(),
        cooled(lambda p: np.log(p) + 7),
        cooled(lambda p: np.log(p.clip(1e-9))),
        lambda p, T: np.array([[math.exp(math.log(x) / T) / sum(math.exp(math.log(y) / T) for y in row) for x in row] for row in p]),
        lambda p, T: (torch.tensor(p).log() / T).softmax(dim=1).numpy(),
        lambda p, T: 1 / ((p[:, None, :] / p[:, :, None]) ** (1 / T)).sum(axis=2),
        lambda p, T: (p ** (1 / T)).T.__truediv__((p ** (1 / T)).sum(axis=1)).T,
    ],
)
def tempered(probabilities, temperature):
    powers = probabilities ** (1 / temperature)  # exp(ln(p) / T)
    return powers / powers.sum(axis=1, keepdims=True)


def jets_in_the_framework():
    variables = [
        {"name": "sv1_mass", "default": -1.0, "fill": 2100.0, "offset": -2350.0, "scale": 0.0008},
        {"name": "pt", "default": None, "fill": None, "offset": -61000.0, "scale": 2.5e-5},
        {"name": "ip3d_bl", "default": -90.0, "fill": 0.8, "offset": -1.9, "scale": 0.21},
        {"name": "ip3d_cl", "default": -90.0, "fill": -0.2, "offset": 0.3, "scale": 0.4},
        {"name": "abs_eta", "default": None, "fill": None, "offset": -0.9, "scale": 1.6},
        {"name": "jf_tracks", "default": 0.0, "fill": 2.0, "offset": -2.4, "scale": 0.7},
        {"name": "sv_flight", "default": -1.0, "fill": 0.0, "offset": -3.1, "scale": 0.15},
    ]
    for values in ((2650.0, 45000.0, -3.2, -4.5, 0.4, 4.0, 2.2), (-1.0, 52000.0, -1.0, -2.7, 2.1, 0.0, 4.1), (1200.0, 38000.0, -90.0, -90.0, 0.0, 3.0, 0.0), (0.0, 20000.0, -89.5, 1.3, 1.1, -1.0, -1.0)):
        sv1_mass, pt, ip3d_bl, ip3d_cl, abs_eta, jf_tracks, sv_flight = values
        # in another order than the network's, and with what it does not know
        yield {"flavour": 5, "abs_eta": abs_eta, "jf_tracks": jf_tracks, "ip3d_cl": ip3d_cl, "event": 12.0, "ip3d_bl": ip3d_bl, "pt": pt, "sv1_mass": sv1_mass, "sv_flight": sv_flight}, variables
    yield {"pt": 30000.0, "abs_eta": -90.0, "ip3d_bl": -90.0}, [variables[k] for k in (2, 4, 1)]
    yield {name: np.float32(value) for name, value in (("jf_tracks", 0), ("sv1_mass", -90.0), ("pt", -1.0))}, [variables[k] for k in (1, 0, 5)]
    yield {"ip3d_bl": -2.0, "sv1_mass": 1800.0}, [variables[k] for k in (2, 6, 0)]  # no sv_flight
    yield {"abs_eta": 0.3}, [variables[k] for k in (1, 4)]  # no pt, which has no default either


def inputs_or_error(function, jet, variables):
    """Return the inputs; or, where a name is missing, what the function does instead."""
    missing = [row["name"] for row in variables if row["name"] not in jet]
    if not missing:
        answer, right = call(function, jet, variables, name="network_inputs"), network_inputs(jet, variables)
        more = np.ravel(answer)[len(right) :] if isinstance(answer, np.ndarray | list) else []
        if len(more) and np.isin(more, (0, 1)).all() and np.allclose(np.ravel(answer)[: len(right)], right):
            fail("Behind the inputs stand check flags, which were not asked for: the list `variables` says what comes, and how many.")
        return {"the array of inputs": answer}
    try:
        answer = function(dict(jet), [dict(row) for row in variables])
    except KeyError:
        answer = "KeyError"
    except Exception as error:
        answer = type(error).__name__
    else:
        if np.size(answer) == len(variables) and answer is not None:
            fail(f"The map has no {missing[0]}, and yet there are as many inputs as always: something else was put in its place. A name that is missing is an error, a typing error perhaps: jet[name] raises the KeyError by itself, .get() does not.")
        if np.size(answer) == len(variables) - len(missing):
            fail(f"The map has no {missing[0]}, and it was left out: all inputs behind it move to the place of another. A name that is missing is an error: jet[name] raises the KeyError by itself.")
    return {f"what comes of a map without {missing[0]}": answer}


def is_default(x, row):
    return row["default"] is not None and x == row["default"]


def inputs(order=lambda jet, rows: rows, missing=is_default, fill=lambda row: row["fill"], formula=lambda x, row: (x + row["offset"]) * row["scale"], late=None):
    """Return what those write who take one step in another way; `late` is put in after scaling."""

    def answer(jet, variables):
        scaled = []
        for row in order(jet, variables):
            x = jet[row["name"]]
            if missing(x, row) and late is None:
                x = fill(row)
            scaled.append(late(row) if missing(x, row) and late else formula(x, row))
        return np.array(scaled)

    return answer


def by_place(jet, variables):
    """Take the values of the map one after the other, whatever they are called."""
    return network_inputs({row["name"]: value for row, value in zip(variables, jet.values(), strict=False)}, variables)


@exercise(
    "12.11",
    "what the framework hands to the network",
    cases=jets_in_the_framework,
    observe=inputs_or_error,
    harmless={
        "accepted 2: missing(x, row) and late": "Only if what is filled in were the default once more would it make a difference.",
        "accepted 2: late": "Only if what is filled in were the default once more would it make a difference.",
        "accepted 3: missing(x, row) and late": "Only if what is filled in were the default once more would it make a difference.",
        "accepted 3: late": "Only if what is filled in were the default once more would it make a difference.",
    },
    accept=(list,),
    hints=(
        "The list says which value comes first, the map what it is: walk through the list, and look each name up in the map.",
        "For one row: x = jet[row[\"name\"]], which becomes row[\"fill\"] if it is the default, and only then is scaled.",
        "The scale is one over the standard deviation and the offset minus the mean, as in the file: one is multiplied, the other added. np.array makes an array of the list in the end.",
    ),
    mistakes={
        "It is divided by the scale. The file's scale is one over the standard deviation: multiply.": inputs(formula=lambda x, row: (x + row["offset"]) / row["scale"]),
        "The offset is subtracted. The file's offset is minus the mean: add it.": inputs(formula=lambda x, row: (x - row["offset"]) * row["scale"]),
        "The offset is subtracted and the scale divided by. The file's offset is minus the mean, and its scale one over the standard deviation.": inputs(formula=lambda x, row: (x - row["offset"]) / row["scale"]),
        "The scale is applied before the offset. Add first, then multiply.": inputs(formula=lambda x, row: x * row["scale"] + row["offset"]),
        "The offset is missing.": inputs(formula=lambda x, row: x * row["scale"]),
        "The scale is missing.": inputs(formula=lambda x, row: x + row["offset"]),
        "Parentheses are missing: in x + offset * scale only the offset is multiplied. Add first.": inputs(formula=lambda x, row: x + row["offset"] * row["scale"]),
        "The scale is applied twice.": inputs(formula=lambda x, row: (x + row["offset"]) * row["scale"] ** 2),
        "The offset is added twice.": inputs(formula=lambda x, row: (x + 2 * row["offset"]) * row["scale"]),
        "These are the values of the jet, not scaled: the network has never seen such numbers.": inputs(formula=lambda x, row: x),
        "The values were taken in the order of the map: the network gets an angle for a mass, and does not notice. The order is that of `variables`.": inputs(lambda jet, rows: [row for name in jet for row in rows if row["name"] == name]),
        "The values of the map were taken one after the other and scaled with the rows, whatever their names. Look each name up.": by_place,
        "The names were sorted. The order is that of `variables`, with which the network was trained.": inputs(lambda jet, rows: sorted(rows, key=lambda row: row["name"])),
        "The order is reversed. It is that of `variables`.": inputs(lambda jet, rows: rows[::-1]),
        "The map holds more than the inputs of the network, and what it does not know has no offset. Walk through `variables`.": lambda jet, variables: np.array([(lambda row, x: (x + row["offset"]) * row["scale"])({r["name"]: r for r in variables}[name], x) for name, x in jet.items()]),
        "The default is scaled like a value: a jet without a vertex becomes one with an absurd mass. Replace it by `fill` first.": inputs(missing=lambda x, row: False),
        "The default is scaled like a value, and divided by the scale. Replace it by `fill` first, and multiply.": inputs(missing=lambda x, row: False, formula=lambda x, row: (x + row["offset"]) / row["scale"]),
        "The default became 0 after scaling, which is the mean. This file's `fill` may be another, the median perhaps: put it in before scaling.": inputs(late=lambda row: 0.0),
        "The default became `fill` after scaling. It is a value in the unit of the variable: put it in before.": inputs(late=lambda row: row["fill"]),
        "The default became NaN, and so will the network's answer.": inputs(late=lambda row: np.nan),
        "The default became 0 before scaling. Its place is taken by `fill`.": inputs(fill=lambda row: 0.0),
        "Inputs with a default value are left out. The network expects a number in each place.": lambda jet, variables: network_inputs(jet, [row for row in variables if not is_default(jet[row["name"]], row)]),
        "A value was compared with the defaults of all variables. What marks a missing mass may be a real value of another variable: each row has its own.": inputs(missing=lambda x, row: row["default"] is not None and x in (-1, -90, 0)),
        "A default of 0 is overlooked: `if row[\"default\"]` takes the number 0 for nothing. None is what means that there is none.": inputs(missing=lambda x, row: bool(row["default"]) and x == row["default"]),
        "A fill of 0 is overlooked: `fill or x` and `if fill` take the number 0 for nothing. None is what means that there is none.": inputs(fill=lambda row: row["fill"] or row["default"]),
        "A default of 0 and a fill of 0 are overlooked: `if` takes the number 0 for nothing. None is what means that there is none.": inputs(missing=lambda x, row: bool(row["default"]) and x == row["default"], fill=lambda row: row["fill"] or row["default"]),
        "`fill or x` takes the fill for every value of a variable that has one. It is for the default alone.": inputs(missing=lambda x, row: bool(row["fill"])),
        "Negative values were taken for the default. A real value can be negative: compare with row[\"default\"].": inputs(missing=lambda x, row: row["default"] is not None and x < 0),
        "Values of 0 and below were taken for the default. A real value can be negative: compare with row[\"default\"].": inputs(missing=lambda x, row: row["default"] is not None and x <= 0),
        "Values below the default were taken for it. Compare with ==.": inputs(missing=lambda x, row: row["default"] is not None and x <= row["default"]),
        "Values close to the default were taken for it. It is one exact value: compare with ==.": inputs(missing=lambda x, row: row["default"] is not None and abs(x - row["default"]) < 1.5),
        "-1 is built in as the default of all variables. Each row has its own.": inputs(missing=lambda x, row: x == -1 and row["default"] is not None),
        "-90 is built in as the default of all variables. Each row has its own.": inputs(missing=lambda x, row: x == -90 and row["default"] is not None),
        "-90 is built in, and looked for in variables that have no default. Each row has its own.": inputs(missing=lambda x, row: x == -90),
        "-90 is built in for the ratios, -1 for all else. Each row has its own.": inputs(missing=lambda x, row: row["default"] is not None and x == (-90 if row["name"].startswith("ip3d") else -1)),
        "-1 and -90 are built in. Each row has its own.": inputs(missing=lambda x, row: row["default"] is not None and x in (-1, -90)),
        "`fill` took the place of every value. It is for the default alone.": inputs(missing=lambda x, row: row["default"] is not None),
        "A row without a default has None there, and None is neither larger nor smaller than a number. Compare with ==.": inputs(missing=lambda x, row: x <= row["default"]),
        "What comes is a map. A network knows no names, only places.": lambda jet, variables: dict(zip([row["name"] for row in variables], network_inputs(jet, variables), strict=True)),
        "changes its input in place": lambda jet, variables: (network_inputs(jet, variables), jet.update(pt=0.0))[0],
        "something else was put in its place": lambda jet, variables: network_inputs({row["name"]: 0.0 for row in variables} | jet, variables),
        "jet[name] raises the KeyError by itself, .get() does not": lambda jet, variables: network_inputs({row["name"]: row["default"] if row["default"] is not None else -1.0 for row in variables} | jet, variables),
        "A name that is missing is an error, a typing error perhaps": lambda jet, variables: network_inputs({row["name"]: row["fill"] for row in variables} | jet, variables),
        "there are as many inputs as always": lambda jet, variables: network_inputs({row["name"]: np.nan for row in variables} | jet, variables),
        "all inputs behind it move to the place of another": lambda jet, variables: network_inputs(jet, [row for row in variables if row["name"] in jet]),
        ".get() gives None for a name that is missing, with which nothing can be computed. jet[name] raises the KeyError that was asked for.": lambda jet, variables: network_inputs(jet, variables) if all(row["name"] in jet for row in variables) else None + 1,
        "A KeyError was asked for where a name is missing, and a ValueError came. jet[name] raises the KeyError by itself.": lambda jet, variables: network_inputs(jet, variables) if all(row["name"] in jet for row in variables) else int("missing"),
        "For a map that lacks a name nothing is returned, and no error raised. Nobody would be told: jet[name] raises the KeyError by itself.": lambda jet, variables: network_inputs(jet, variables) if all(row["name"] in jet for row in variables) else None,
        "Behind the inputs stand check flags": lambda jet, variables: np.append(network_inputs(jet, variables), [float(jet[row["name"]] == row["default"]) for row in variables if row["default"] is not None]),
        "which were not asked for: the list `variables`": lambda jet, variables: np.append(network_inputs(jet, variables), [is_default(jet[row["name"]], row) for row in variables]),
    },
    accepted=[
        lambda jet, variables: network_inputs(jet, variables).tolist(),
        inputs(missing=lambda x, row: x == row["default"]),
        inputs(formula=lambda x, row: x * row["scale"] + row["offset"] * row["scale"]),
        lambda jet, variables: np.array([({row["default"]: row["fill"]}.get(jet[row["name"]], jet[row["name"]]) + row["offset"]) * row["scale"] for row in variables], dtype=np.float32),
        lambda jet, variables: (lambda t: ((t["x"].where(t["x"] != t["default"], t["fill"]) + t["offset"]) * t["scale"]).to_numpy(float))(pd.DataFrame(variables).assign(x=lambda t: pd.Series(jet)[t["name"]].to_numpy())),
        lambda jet, variables: (np.array([row["fill"] if jet[row["name"]] == row["default"] else jet[row["name"]] for row in variables]) + [row["offset"] for row in variables]) * [row["scale"] for row in variables],
    ],
)
def network_inputs(jet, variables):
    scaled = []
    for row in variables:  # the network's order; the map has none
        x = jet[row["name"]]
        if x == row["default"]:
            x = row["fill"]
        scaled.append((x + row["offset"]) * row["scale"])
    return np.array(scaled)
