"""Exercises of lesson 11: neighbours and their edges, attention, pairs of momenta, boosts, and tests of one's own network."""

import contextlib
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from coursekit.checks import call, demands, exercise, fail
from coursekit.checks.compare import agree
from coursekit.nets.deepsets import DeepSets

INF, PI = torch.inf, torch.pi


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.tensor(np.random.default_rng((*shape, seed)).normal(size=shape), dtype=dtype)


def ties_in_order(found, points, real=None):
    """Put neighbours at equal distances into the order of their numbers, and -1 into rows of empty slots.

    Which of them comes first is a matter of chance, and so is what is found for a slot that holds nothing.
    """
    kind = type(found)
    if kind in (list, np.ndarray):
        with contextlib.suppress(ValueError, TypeError):  # of lists that are no table of numbers
            found = ties_in_order(torch.tensor(found), points, real)
            return found.tolist() if kind is list else found.numpy()
    if not isinstance(found, torch.Tensor) or found.shape[:-1] != points.shape[:-1]:
        return found
    if found.dtype == torch.int64 and ((found >= 0) & (found < points.shape[-2])).all():
        far = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
        runs = F.pad((far.gather(-1, found).diff(dim=-1).abs() > 1e-12).cumsum(dim=-1), (1, 0))
        found = found.gather(-1, (runs * points.shape[-2] + found).argsort(dim=-1))
    elif found.dtype != torch.int64 and agree(found.round(), found):
        fail(f"the neighbours come as {found.dtype}; the rows of a tensor are chosen with int64: .long().")
    return found if real is None else found.masked_fill(~real[..., None], -1)


def neighbours_found(function, points, k):
    return ties_in_order(call(function, points, k, name="nearest"), points)


def jets_of_points():
    plane = drawn(14, 2, seed=5)
    plane[[4, 9]] = plane[2].clone()  # three in one cell of a calorimeter
    yield plane, 4
    yield 3 * drawn(6, 1, seed=1) + 5, 5  # all others, in one dimension
    yield drawn(9, 3, seed=2), 1
    yield 1e4 * drawn(12, 5, seed=3), 3  # as the features of a layer inside a network


def ranked(
    distance=lambda p: torch.cdist(p, p),
    apart=lambda d: d.fill_diagonal_(INF),
    pick=lambda d, k: d.topk(k, largest=False).indices,
):
    """Return what those write who take one of the steps in another way."""
    return lambda points, k: pick(apart(distance(points)), k)


@exercise(
    "11.1",
    "the nearest other constituents",
    cases=jets_of_points,
    observe=neighbours_found,
    returns=("the tensor of neighbours",),
    hints=(
        "torch.cdist(points, points) has all distances, (P, P); the diagonal holds those of each constituent from itself.",
        "distance.fill_diagonal_(torch.inf) takes the constituents themselves out, by their number.",
        "distance.topk(k, largest=False) returns values and indices of the k smallest of each row, the smallest first; .indices is asked for.",
    ),
    mistakes={
        "The nearest of each constituent is the constituent itself, at distance zero. Take it out: distance.fill_diagonal_(torch.inf).": ranked(apart=lambda d: d),
        "There are k + 1 neighbours, the constituent itself among them.": ranked(apart=lambda d: d, pick=lambda d, k: d.topk(k + 1, largest=False).indices),
        "The first column was taken for the constituent itself and left out. Two constituents in the same place are both at distance zero, and either can come first: take each out by its number, with fill_diagonal_.":
            ranked(apart=lambda d: d, pick=lambda d, k: d.topk(k + 1, largest=False).indices[:, 1:]),
        "Everything at distance zero was taken out. Another constituent in the same place is the nearest neighbour there can be: take out the diagonal alone.": ranked(apart=lambda d: d.masked_fill(d == 0, INF)),
        "The diagonal is too small: distances can be larger than the number that stands there. With torch.inf nothing is farther away.": ranked(apart=lambda d: d + torch.eye(len(d))),
        "The diagonal is too small: inside a network distances can be much larger than in the plane. With torch.inf nothing is farther away.": ranked(apart=lambda d: d.fill_diagonal_(99)),
        "These are the farthest constituents: topk takes the largest, unless largest=False.": ranked(apart=lambda d: d.fill_diagonal_(0), pick=lambda d, k: d.topk(k).indices),
        "topk takes the largest, and the diagonal is infinite: the constituent itself comes first, and then the farthest. largest=False.": ranked(pick=lambda d, k: d.topk(k).indices),
        "These are the distances; the numbers of the constituents are asked for, .indices.": ranked(pick=lambda d, k: d.topk(k, largest=False).values),
        "topk returns two things, values and indices; the indices are asked for, .indices.": ranked(pick=lambda d, k: d.topk(k, largest=False)),
        "These numbers count the *others*: after the constituent itself they are too small by one, since it was taken out of the list before.":
            lambda points, k: torch.stack([(torch.cat([points[:i], points[i + 1 :]]) - one).norm(dim=1).argsort()[:k] for i, one in enumerate(points)]),
        "The nearest comes first; here it comes last.": lambda points, k: nearest(points, k).flip(1),
        "The neighbours are sorted by their number. The nearest comes first.": lambda points, k: nearest(points, k).sort(dim=1).values,
        "Rows and columns are exchanged: one row for each constituent, (P, k).": lambda points, k: nearest(points, k).T,
        "Only the first coordinate is used; the distance goes over all D.": ranked(lambda p: torch.cdist(p[:, :1], p[:, :1])),
        "Only the first two coordinates are used; the distance goes over all D.": ranked(lambda p: torch.cdist(p[:, :2], p[:, :2])),
        "This is the sum of absolute differences. The distance is the root of the sum of squares.": ranked(lambda p: torch.cdist(p, p, p=1)),
        "This is the largest of the differences. The distance is the root of the sum of squares.": ranked(lambda p: torch.cdist(p, p, p=INF)),
        "The differences are added with their signs, and cancel. Square them first.": ranked(lambda p: (p[:, None] - p).sum(dim=2)),
        "This is the distance from the origin: the same neighbours for everybody. Two constituents have a distance from each other.": ranked(lambda p: p.norm(dim=1).expand(len(p), -1).clone()),
        "This ranks by the product of the coordinates, which is large for constituents far out. Use their distance.": ranked(lambda p: -p @ p.T),
        "These are ranks: the second argsort turns numbers of constituents into places.": ranked(pick=lambda d, k: d.argsort(dim=1).argsort(dim=1)[:, :k]),
        "The distances are sorted along the wrong axis: one row of neighbours for each constituent, dim=1.": ranked(pick=lambda d, k: d.argsort(dim=0)[:, :k]),
        "The same constituents came for everybody, those which have the closest neighbours. Each has neighbours of its own.": lambda points, k: torch.cdist(points, points).fill_diagonal_(INF).amin(dim=1).topk(k, largest=False).indices.expand(len(points), k),
        "the neighbours come as torch.float32": lambda points, k: nearest(points, k).float(),
    },
    accepted=[
        lambda p, k: (p[:, None] - p).square().sum(dim=2).masked_fill(torch.eye(len(p)) > 0, INF).argsort(dim=1)[:, :k],
        lambda p, k: torch.tensor([sorted({*range(len(p))} - {i}, key=(p - p[i]).norm(dim=1).__getitem__)[:k] for i in range(len(p))]),
    ],
)
def nearest(points, k):
    distance = torch.cdist(points, points)  # (P, P)
    distance.fill_diagonal_(torch.inf)  # nobody is its own neighbour
    return distance.topk(k, largest=False).indices


def graphs():
    yield drawn(6, 3), torch.tensor([[1, 4], [0, 2], [5, 1], [4, 2], [3, 0], [2, 3]])
    yield drawn(4, 2), torch.tensor([[2, 1, 3], [3, 2, 0], [0, 1, 3], [1, 0, 2]])
    yield drawn(5, 1), torch.tensor([[2], [4], [1], [1], [0]])


def edges(centre=lambda c, o: c, difference=lambda c, o: o - c, join=lambda c, d: torch.cat([c, d], dim=2), features=lambda x: x):
    """Return what those write who make another of the two halves, or put them together in another way."""

    def answer(x, neighbours):
        others = features(x)[neighbours]
        centres = features(x)[:, None].expand_as(others)
        return join(centre(centres, others), difference(centres, others))

    return answer


@exercise(
    "11.2",
    "the features of the edges",
    cases=graphs,
    returns=("the tensor of edge features",),
    demands=[demands.gradient],
    hints=(
        "x[neighbours] takes rows of x by their numbers, and has the shape (P, k, F).",
        "x[:, None] is (P, 1, F); .expand(-1, k, -1) repeats it for each neighbour.",
        "torch.cat([centre, others - centre], dim=2) puts the two beside each other.",
    ),
    mistakes={
        "The second half holds the neighbours as they are; neighbour minus centre is asked for.": edges(difference=lambda c, o: o),
        "The sign is reversed: neighbour minus centre.": edges(difference=lambda c, o: c - o),
        "The two halves are exchanged: first the centre, then the difference.": edges(lambda c, o: o - c, lambda c, o: c),
        "The first half holds the neighbour; the centre belongs there.": edges(lambda c, o: o),
        "The difference has lost its sign, and with it the direction in which the neighbour lies.": edges(difference=lambda c, o: (o - c).abs()),
        "The difference is squared, and has lost the direction in which the neighbour lies.": edges(difference=lambda c, o: (o - c).square()),
        "Centre and neighbour are added; the second half is neighbour minus centre.": edges(difference=lambda c, o: o + c),
        "The features of the centre are missing: the first F of the 2F.": edges(join=lambda c, d: d),
        "The difference is missing: the last F of the 2F.": edges(join=lambda c, d: c),
        "The two halves follow each other along the axis of the neighbours: (P, 2k, F). The features are the last axis, dim=2.": edges(join=lambda c, d: torch.cat([c, d], dim=1)),
        "The two halves follow each other along the axis of the constituents: (2P, k, F). The features are the last axis, dim=2.": edges(join=lambda c, d: torch.cat([c, d])),
        "torch.stack makes an axis of its own for the two halves, (P, k, 2, F); torch.cat puts them beside each other.": edges(join=lambda c, d: torch.stack([c, d], dim=2)),
        "The features of the two halves take turns. First all of the centre, then all of the difference: torch.cat along dim=2.": edges(join=lambda c, d: torch.stack([c, d], dim=3).flatten(2)),
        "The two halves came as two things; torch.cat puts them into one tensor (P, k, 2F).": edges(join=lambda c, d: (c, d)),
        "The neighbour itself stands between centre and difference: 2F features are asked for, not 3F.": edges(difference=lambda c, o: torch.cat([o, o - c], dim=2)),
        "This is the length of the difference, one number; its F components say in which direction the neighbour lies.": edges(difference=lambda c, o: (o - c).norm(dim=2, keepdim=True)),
        "The first neighbour was taken for the centre. Some programs count a constituent as its own first neighbour; here the centre of row i is x[i].": edges(lambda c, o: o[:, :1].expand_as(o), lambda c, o: o - o[:, :1]),
        "The neighbours are always the first k constituents: the numbers in `neighbours` say which they are, not their places.": lambda x, n: edge_features(x, torch.arange(n.shape[1]).expand_as(n)),
        "There is one number for each pair of features; the features of all neighbours are in one row, (P, 2kF). Each edge has a row of its own, (P, k, 2F).": edges(join=lambda c, d: torch.cat([c, d], dim=2).flatten(1)),
        "The centres are mixed up: x.repeat puts the whole tensor k times one after the other. repeat_interleave, or x[:, None].expand, repeats each row.":
            lambda x, n: torch.cat([(centre := x.repeat(n.shape[1], 1).view(*n.shape, -1)), x[n] - centre], dim=2),
        "All neighbours are averaged: each edge has features of its own, (P, k, 2F).": edges(join=lambda c, d: torch.cat([c, d], dim=2).mean(dim=1)),
        "has no gradient any more": edges(features=torch.Tensor.detach),
        "its gradient is not the slope of the result": edges(lambda c, o: c.detach()),
        "is a NumPy array": lambda x, n: edge_features(x, n).detach().numpy(),
    },
    accepted=[
        lambda x, n: torch.cat([x[:, None, :].repeat(1, n.shape[1], 1), x[n] - x.unsqueeze(1)], dim=-1),
        lambda x, n: torch.stack([torch.stack([torch.cat([x[i], x[j] - x[i]]) for j in n[i]]) for i in range(len(x))]),
    ],
)
def edge_features(x, neighbours):
    others = x[neighbours]  # (P, k, F)
    centre = x[:, None].expand_as(others)  # the same features for each of its k edges
    return torch.cat([centre, others - centre], dim=2)


def padded_points():
    """Slots hold nothing at the end or in the middle; one real constituent lies at the axis, at zero."""
    for seed, slots, scale, counts in ((1, 7, 1, [7, 4, 5]), (2, 6, 5000, [4, 3, 6, 5, 6, 3])):
        mask = torch.arange(slots) < torch.tensor(counts)[:, None]
        mask[1], mask[2] = mask[1].roll(2), mask[2].roll(-2)  # the first slots are empty, or some in the middle
        points = scale * drawn(len(counts), slots, 2, seed=seed)
        points[0, 3] = 0
        if scale == 1:
            points[0, [1, 5]] = points[0, 2].clone()  # three in one cell of a calorimeter
        yield points * mask[..., None], mask, 2 if seed == 2 else 3
    yield torch.where(mask[..., None], points, 1e-3), mask, 1  # whatever stands in empty slots


def neighbours_of_real(function, points, mask, k):
    return ties_in_order(call(function, points, mask, k, name="nearest_of_real"), points, mask)


def ranked_real(
    points=lambda p, m: p,
    hidden=lambda m, p: ~m[:, None],
    fill=INF,
    oneself=lambda d: d.diagonal(dim1=1, dim2=2).fill_(INF),
    pick=lambda d, k: d.topk(k, largest=False).indices,
):
    def answer(p, mask, k):
        distance = torch.cdist(points(p, mask), points(p, mask)).masked_fill(hidden(mask, p), fill)
        oneself(distance)
        return pick(distance, k)

    return answer


def jet_by_jet_real(points, mask, k, slots=True):
    rows = torch.zeros(*mask.shape, k, dtype=torch.int64)
    for jet, real, row in zip(points, mask, rows, strict=True):
        found = nearest(jet[real], k)
        row[real] = real.nonzero()[:, 0][found] if slots else found
    return rows


@exercise(
    "11.3",
    "the nearest other constituents of padded jets",
    cases=padded_points,
    observe=neighbours_of_real,
    returns=("the tensor of neighbours",),
    hints=(
        "torch.cdist works on whole batches: (N, P, D) gives distances (N, P, P), rows for who looks, columns for who is looked at.",
        "Columns of empty slots become infinite: distance.masked_fill(~mask[:, None], torch.inf), in which mask[:, None] is (N, 1, P).",
        "torch.eye(P, dtype=torch.bool) is True on the diagonal of each jet: masked_fill with ~mask[:, None] | torch.eye(...).",
    ),
    mistakes={
        "Empty slots are neighbours: they lie at zero, on the jet's axis, among the hardest constituents. Make the columns of empty slots infinite, ~mask[:, None]; ~mask[..., None] would be their rows, who looks and not who is found.": ranked_real(hidden=lambda m, p: torch.zeros(1) > 0),
        "The mask is turned round: True means a real constituent, and the others must not be found.": ranked_real(hidden=lambda m, p: m[:, None]),
        "Distances to empty slots were set to zero, and then they are the nearest. Infinity takes them out.": ranked_real(fill=0),
        "The number in the place of the distance to empty slots is too small: inside a network distances can be larger. torch.inf is never exceeded.": ranked_real(fill=999),
        "Empty slots were moved away, not far enough: inside a network distances can be larger. Make the distance infinite.": ranked_real(lambda p, m: p.masked_fill(~m[..., None], 999), lambda m, p: torch.zeros(1) > 0),
        "The numbers in the place of the distances to empty slots and to oneself are too small: inside a network distances can be larger. torch.inf is never exceeded.": ranked_real(fill=999, oneself=lambda d: d.diagonal(dim1=1, dim2=2).fill_(999)),
        "Slots at zero were taken for empty. A real constituent can lie on the axis: the mask says which slots are real.": ranked_real(hidden=lambda m, p: ~p.any(dim=2)[:, None]),
        "The first n slots were taken for real. Real slots can stand anywhere: the mask says where.": ranked_real(hidden=lambda m, p: ~(torch.arange(m.shape[1]) < m.sum(dim=1, keepdim=True))[:, None]),
        "The mask of the first jet was used for all jets.": ranked_real(hidden=lambda m, p: ~m[0]),
        "0 times infinity is NaN: torch.where or masked_fill writes infinity where the mask says so.": lambda p, m, k: (torch.cdist(p, p) + ~m[:, None] * INF).masked_fill(torch.eye(m.shape[1]) > 0, INF).topk(k, largest=False).indices,
        "The nearest of each constituent is the constituent itself: take out the diagonal of each jet as well.": ranked_real(oneself=lambda d: d),
        "The diagonal was taken out of the first jet alone. distance.diagonal(dim1=1, dim2=2) is that of each jet.": ranked_real(oneself=lambda d: d[0].fill_diagonal_(INF)),
        "fill_diagonal_ fills the entries with three equal numbers, one in each jet, or refuses. distance.diagonal(dim1=1, dim2=2).fill_(torch.inf) is the diagonal of each jet.": ranked_real(oneself=lambda d: d.fill_diagonal_(INF)),
        "The first column was taken for the constituent itself. Two constituents in the same place are both at distance zero, and either can come first: take each out by its number, on the diagonal.":
            ranked_real(oneself=lambda d: d, pick=lambda d, k: d.topk(k + 1, largest=False).indices[..., 1:]),
        "Everything at distance zero was taken out. Another constituent in the same place is the nearest neighbour there can be: take out the diagonal alone.": ranked_real(oneself=lambda d: d.masked_fill_(d == 0, INF)),
        "Everything at distance zero was taken out, and nothing else. Empty slots are at distance zero from each other, not from constituents: the mask says which they are.": ranked_real(hidden=lambda m, p: torch.zeros(1) > 0, oneself=lambda d: d.masked_fill_(d == 0, INF)),
        "These numbers count the real constituents. Those of the slots are asked for, with which a padded tensor can be indexed.": partial(jet_by_jet_real, slots=False),
        "topk takes the largest, which are infinite: largest=False.": ranked_real(pick=lambda d, k: d.topk(k).indices),
        "These are the distances; the numbers of the slots are asked for, .indices.": ranked_real(pick=lambda d, k: d.topk(k, largest=False).values),
        "The nearest are sorted along the wrong axis: the columns of a row are its neighbours, the last axis.": ranked_real(pick=lambda d, k: d.argsort(dim=1)[..., :k]),
        "The numbers run over all jets: each jet counts its slots from 0.": lambda p, m, k: nearest_of_real(p, m, k) + (torch.arange(len(p)) * p.shape[1])[:, None, None],
        "Neighbours come from other jets: torch.cdist of (N, P, D) keeps the jets apart, of (N P, D) it does not.":
            lambda p, m, k: torch.cdist(p.flatten(0, 1), p.flatten(0, 1)).masked_fill(~m.flatten(), INF).fill_diagonal_(INF).topk(k, largest=False).indices.view(*m.shape, k),
        "The nearest comes first; here it comes last.": lambda p, m, k: nearest_of_real(p, m, k).flip(2),
        "changes its input in place": lambda p, m, k: nearest_of_real(p.masked_fill_(~m[..., None], 1e9), m, k),
    },
    accepted=[
        ranked_real(lambda p, m: torch.where(m[..., None], p, 1e9), lambda m, p: torch.eye(m.shape[1]) > 0),
        ranked_real(fill=1e9, oneself=lambda d: d.add_(torch.eye(d.shape[1]) * 1e9)),
        jet_by_jet_real,
    ],
)
def nearest_of_real(points, mask, k):
    distance = torch.cdist(points, points)  # (N, P, P)
    oneself = torch.eye(points.shape[1], dtype=torch.bool)  # (P, P)
    distance = distance.masked_fill(~mask[:, None] | oneself, torch.inf)  # (N, 1, P): columns of empty slots
    return distance.topk(k, largest=False).indices


class ByHand(TorchFunctionMode):
    """Notice the function that does it all."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in {"scaled_dot_product_attention", "multi_head_attention_forward"}:
            fail(f"{func.__name__} does all of it. Write it by hand once: product, mask, softmax, sum; the lesson compares.")
        return func(*args, **(kwargs or {}))


def queries_keys_values():
    real = torch.tensor([True, True, False, True, False, True])
    yield drawn(6, 4, seed=1), drawn(6, 4, seed=2), drawn(6, 4, seed=3), real
    yield drawn(3, 2, seed=1), drawn(3, 2, seed=2), drawn(3, 2, seed=3), torch.tensor([False, True, False])  # one real
    yield 40 * drawn(4, 9, seed=1), 40 * drawn(4, 9, seed=2), drawn(4, 9, seed=3), torch.tensor([True, True, True, False])
    yield torch.full((3, 1), 30.0), torch.tensor([[-30.0], [-30.1], [0.0]]), drawn(3, 1), torch.tensor([True, True, False])


def rows_of_real(function, q, k, v, mask):
    with ByHand():
        result = call(function, q, k, v, mask, name="attention")
    rows = isinstance(result, torch.Tensor) and result.shape == v.shape
    return torch.where(mask[:, None], result, 0) if rows else result  # padded queries do not matter


def attended(score=lambda q, k: q @ k.T / q.shape[1] ** 0.5, weights=lambda s, m: s.masked_fill(~m, -INF).softmax(dim=1), total=lambda w, v: w @ v):
    """Return what those write who take one of the steps in another way."""
    return lambda q, k, v, mask: total(weights(score(q, k), mask), v)


def teaches_all(function, q, k, v, mask):
    """Queries, keys and values come from three layers, and all of them have to learn."""
    given = [values.clone().requires_grad_() for values in (q, k, v)]
    result = function(*given, mask)
    if result.requires_grad:
        result[mask].sum().backward()
        if any(values.grad is not None and values.grad.isnan().any() for values in given):
            fail("the sums are right, but the gradient is NaN: rows of padding are minus infinity altogether, and their softmax is 0 / 0. The queries of padding may look at real keys: hide the columns alone.")
    for at, values in enumerate((q, k, v)):
        others = (q, k, v)[:at], (q, k, v)[at + 1 :]
        demands.gradient(lambda one, others=others: function(*others[0], one, *others[1], mask)[mask], values)


@exercise(
    "11.4",
    "attention by hand",
    cases=queries_keys_values,
    observe=rows_of_real,
    returns=("the tensor of sums",),
    demands=[lambda q_to_v, *given: given[0].abs().max() < 20 and teaches_all(q_to_v, *given)],
    tolerance={"rtol": 1e-4, "atol": 1e-5},
    hints=(
        "q @ k.T has all products of a query (row) with a key (column), (P, P). Divide by the root of d = q.shape[1].",
        "A key that is padding must get the weight zero: its score is minus infinity *before* the softmax, score.masked_fill(~mask, -torch.inf).",
        "weight = score.softmax(dim=1), so that each row adds up to one; then weight @ v.",
    ),
    mistakes={
        "The number in the place of minus infinity is too large: scores of real keys can be lower, and then the padding is seen.": attended(weights=lambda s, m: s.masked_fill(~m, -100).softmax(dim=1)),
        "What is subtracted from the scores of padding is too small: scores can be so large that the padding still gets weight. Minus infinity.": attended(weights=lambda s, m: (s - 100 * ~m).softmax(dim=1)),
        "Padding takes part in the attention: it gets weights like anybody else. Set its scores to minus infinity before the softmax, with ~mask, which hides columns, the keys. (~mask[:, None] hides rows, the queries.)": attended(weights=lambda s, m: s.softmax(dim=1)),
        "The mask comes too late, after the softmax or in the values: the padding has taken its share of the weights, and those of the others do not add up to one. Mask the scores, before the softmax.": attended(weights=lambda s, m: s.softmax(dim=1) * m),
        "The scores of padding, or its keys, were set to zero. The softmax makes e^0 = 1 of it, a weight like any other: scores of minus infinity.": attended(weights=lambda s, m: (s * m).softmax(dim=1)),
        "The mask is turned round: True means a real constituent, and the others are hidden.": attended(weights=lambda s, m: s.masked_fill(m, -INF).softmax(dim=1)),
        "Infinity minus infinity is NaN. The scores of padding become *minus* infinity; and the softmax runs along rows, dim=1, since a column of padding has no finite score at all.": attended(weights=lambda s, m: s.masked_fill(~m, INF).softmax(dim=1)),
        "The softmax runs over the queries. Each query shares its attention among the keys, dim=1. (And the mask hid rows.)": attended(weights=lambda s, m: s.masked_fill(~m[:, None], -INF).softmax(dim=0)),
        "The division by the root of d is missing: products of long vectors are large, and the softmax looks at one key alone.": attended(lambda q, k: q @ k.T),
        "This divides by d; divide by its root.": attended(lambda q, k: q @ k.T / q.shape[1]),
        "This divides by the root of the number of constituents; d is the length of a query, q.shape[1].": attended(lambda q, k: q @ k.T / len(q) ** 0.5),
        "This multiplies by the root of d; divide.": attended(lambda q, k: q @ k.T * q.shape[1] ** 0.5),
        "Queries and keys are exchanged: a row belongs to a query, q @ k.T.": attended(lambda q, k: k @ q.T / q.shape[1] ** 0.5),
        "Queries are compared with each other; compare them with the keys.": attended(lambda q, k: q @ q.T / q.shape[1] ** 0.5),
        "The keys are summed; the weights belong to the values.": lambda q, k, v, m: attention(q, k, k, m),
        "exp() of large scores overflows, and inf / inf is NaN. Subtract the largest of each row first, as softmax does.": attended(weights=lambda s, m: (s.exp() * m) / (s.exp() * m).sum(dim=1, keepdim=True)),
        "The weights were made with the padding among them, which was taken out afterwards: if all real scores lie far below, every weight is zero, and 0 / 0 is NaN. Mask the scores first.": attended(weights=lambda s, m: (e := (s - s.amax(dim=1, keepdim=True)).exp() * m) / e.sum(dim=1, keepdim=True)),
        "The largest score of all queries was subtracted. In a row whose scores lie far below, every exp() is zero, and 0 / 0 is NaN: subtract the largest of each row.": attended(weights=lambda s, m: (e := (s.masked_fill(~m, -INF) - s[:, m].max()).exp()) / e.sum(dim=1, keepdim=True)),
        "The weights of all queries together add up to one; those of each query should, dim=1.": attended(weights=lambda s, m: s.masked_fill(~m, -INF).flatten().softmax(dim=0).view_as(s)),
        "Each query was compared with the key of its own constituent alone. It looks at the keys of all, q @ k.T.": lambda q, k, v, m: (q * k).sum(dim=1).div(q.shape[1] ** 0.5).masked_fill(~m, -INF).softmax(dim=0)[:, None] * v,
        "There are rows for real queries alone. Keep a row for each slot, (P, d); what stands in the rows of padding does not matter.": lambda q, k, v, m: attention(q, k, v, m)[m],
        "These are weights between 0 and 1 which do not add up to one: a sigmoid looks at each key by itself. The softmax shares.": attended(weights=lambda s, m: s.sigmoid() * m),
        "The scores themselves were used as weights. The softmax makes positive weights of them which add up to one.": attended(weights=lambda s, m: s * m),
        "These are the logarithms of the weights: softmax, not log_softmax.": attended(weights=lambda s, m: s.masked_fill(~m, -INF).log_softmax(dim=1)),
        "All real keys have the same weight: that is a mean, without attention.": attended(weights=lambda s, m: (m / m.sum()).expand(len(m), -1)),
        "These are the weights; the sums of the values with these weights are asked for, weight @ v.": attended(total=lambda w, v: w),
        "The weights are used by columns: weight @ v, not weight.T @ v.": attended(total=lambda w, v: w.T @ v),
        "The value with the largest weight was taken alone: attention is a sum.": attended(total=lambda w, v: v[w.argmax(dim=1)]),
        "does all of it": lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m.expand(len(m), -1)),
        "the sums are right, but the gradient is NaN": attended(weights=lambda s, m: s.masked_fill(~(m & m[:, None]), -INF).softmax(dim=1)),
        "has no gradient any more": lambda q, k, v, m: attention(q.detach(), k.detach(), v.detach(), m),
        "its gradient is not the slope of the result": lambda q, k, v, m: attended(total=lambda w, v: w.detach() @ v)(q, k, v, m) + 0 * (q + k),
    },
    accepted=[
        attended(weights=lambda s, m: (s - 1e9 * ~m).softmax(dim=-1)),
        lambda q, k, v, m: torch.stack([(k[m] @ row / len(row) ** 0.5).softmax(dim=0) @ v[m] for row in q]),
        attended(weights=lambda s, m: (e := (s - s[:, m].amax(dim=1, keepdim=True)).clamp(max=0).exp() * m) / e.sum(dim=1, keepdim=True)),
    ],
)
def attention(q, k, v, mask):
    score = q @ k.T / q.shape[1] ** 0.5  # (P, P): rows are queries, columns keys
    weight = score.masked_fill(~mask, -torch.inf).softmax(dim=1)  # rows that add up to one
    return weight @ v


def momenta(n, seed, mass=3.0):
    rng = np.random.default_rng(seed)
    pt, eta, phi = np.exp(rng.uniform(0, 5, n)), rng.normal(0, 1.2, n), rng.uniform(-np.pi, np.pi, n)
    m = rng.uniform(0.1, mass, n)
    pz = pt * np.sinh(eta)
    return torch.tensor(np.stack([pt * np.cos(phi), pt * np.sin(phi), pz, np.sqrt(pt**2 + pz**2 + m**2)], axis=1))


def pairs():
    yield momenta(30, 1), momenta(30, 2)
    close = momenta(1, 3)  # one pair, across the line where phi jumps
    yield torch.tensor([[-30.0, 1.0, 10.0, 33.0]]).double(), torch.tensor([[-12.0, -0.5, 7.0, 14.0]]).double()
    yield close.repeat(2, 1), close * torch.tensor([[0.5, 0.51, 0.6, 0.8], [2, 1.9, 2.1, 2.2]])


def wrapped(angle):
    return (angle + PI) % (2 * PI) - PI


def paired(
    pt=lambda p: torch.hypot(p[:, 0], p[:, 1]),
    y=lambda p: torch.atanh(p[:, 2] / p[:, 3]),
    phi=lambda p: torch.atan2(p[:, 1], p[:, 0]),
    wrap=wrapped,
    delta=torch.hypot,
    softer=torch.minimum,
    kt=lambda soft, delta: soft * delta,
    z=lambda soft, a, b: soft / (a + b),
    mass=lambda a, b: squared(a + b),
    form=lambda *columns: torch.stack(columns, dim=1).log(),
):
    """Return what those write who take one of the steps in another way."""

    def answer(a, b):
        far, soft = delta(y(a) - y(b), wrap(phi(a) - phi(b))), softer(pt(a), pt(b))
        return form(far, kt(soft, far), z(soft, pt(a), pt(b)), mass(a, b))

    return answer


def with_share(z):
    return lambda a, b: torch.stack([*pair_features(a, b).T[:2], z(a, b).log(), pair_features(a, b)[:, 3]], dim=1)


def squared(p):
    return p[:, 3] ** 2 - p[:, :3].square().sum(dim=1)


def length(p):
    return p[:, :3].norm(dim=1)


@exercise(
    "11.5",
    "the features of pairs",
    cases=pairs,
    returns=("the tensor of pair features",),
    tolerance={"rtol": 1e-5, "atol": 1e-6},
    hints=(
        "pT is torch.hypot(px, py), rapidity torch.atanh(pz / E), azimuth torch.atan2(py, px).",
        "Wrap the difference of azimuths: (d_phi + torch.pi) % (2 * torch.pi) - torch.pi. The softer pT is torch.minimum(pt_a, pt_b).",
        "m^2 is that of the sum: s = a + b, then s[:, 3] ** 2 - (s[:, :3] ** 2).sum(dim=1). At the end torch.stack([...], dim=1).log().",
    ),
    mistakes={
        "The difference of the azimuths is not wrapped: two particles on both sides of phi = pi are neighbours.": paired(wrap=lambda angle: angle),
        "The difference of the azimuths lies between 0 and 2 pi; it belongs between -pi and pi: add pi before the modulo and subtract it after.": paired(wrap=lambda angle: angle % (2 * PI)),
        "Differences of azimuths above pi are brought back, those below -pi are not.": paired(wrap=lambda angle: torch.where(angle > PI, angle - 2 * PI, angle)),
        "A difference of azimuths above pi is 2 pi minus it the other way round; here pi was subtracted.": paired(wrap=lambda angle: torch.where(angle.abs() > PI, angle.abs() - PI, angle.abs())),
        "Differences of azimuths above pi were cut to pi. The way round the other side is shorter, 2 pi minus it.": paired(wrap=lambda angle: angle.clamp(-PI, PI)),
        "The azimuths are added; their difference is meant.": lambda a, b: paired()(a, torch.stack([b[:, 0], -b[:, 1], *b.T[2:]], dim=1)).where(torch.arange(4) < 2, pair_features(a, b)),
        "The rapidities are added; their difference is meant.": lambda a, b: paired()(a, b * torch.tensor([1, 1, -1, 1])).where(torch.arange(4) < 2, pair_features(a, b)),
        "The difference of the rapidities was wrapped, too; a rapidity is no angle.": paired(delta=lambda y, phi: torch.hypot(wrapped(y), phi)),
        "The difference of the azimuths is taken modulo pi: particles on opposite sides seem close.": paired(wrap=lambda angle: (angle + PI / 2) % PI - PI / 2),
        "arctan(py / px) does not know in which half of the plane a particle flies; torch.atan2(py, px) does.": paired(phi=lambda p: torch.atan(p[:, 1] / p[:, 0])),
        "This is the pseudorapidity. Particles have mass: the rapidity is atanh(pz / E).": paired(y=lambda p: torch.asinh(p[:, 2] / torch.hypot(p[:, 0], p[:, 1]))),
        "This is the difference of polar angles, not of rapidities.": paired(y=lambda p: torch.atan2(torch.hypot(p[:, 0], p[:, 1]), p[:, 2])),
        "The rapidity has lost its factor 1/2: y = 1/2 ln((E + pz) / (E - pz)).": paired(y=lambda p: 2 * torch.atanh(p[:, 2] / p[:, 3])),
        "This is Delta^2; the root is missing, and the logarithms are twice as large.": paired(delta=lambda y, phi: y**2 + phi**2),
        "Delta^2 stands in the first column and Delta in kT: the first column is ln Delta.": paired(form=lambda d, *rest: torch.stack([d**2, *rest], dim=1).log()),
        "The two differences are added; Delta is the root of the sum of their squares.": paired(delta=lambda y, phi: y.abs() + phi.abs()),
        "pT is made of px and py alone; this is |p|.": paired(pt=length),
        "The energy stands in the place of pT.": paired(pt=lambda p: p[:, 3]),
        "The harder of the two was taken for kT and z; the softer one is meant: torch.minimum.": paired(softer=torch.maximum),
        "The pT of the first particle was taken for kT and z; the softer of the two is meant, whichever comes first.": paired(softer=lambda a, b: a),
        "The pT of the second particle was taken for kT and z; the softer of the two is meant, whichever comes first.": paired(softer=lambda a, b: b),
        "One minimum was taken over all pairs: torch.minimum(pt_a, pt_b) compares pair by pair.": paired(softer=lambda a, b: torch.min(a.min(), b.min()).expand_as(a)),
        "kT is the softer pT alone; times Delta.": paired(kt=lambda soft, far: soft),
        "kT is the softer pT times Delta, not times Delta^2.": paired(kt=lambda soft, far: soft * far**2),
        "kT was divided by Delta; times Delta.": paired(kt=lambda soft, far: soft / far),
        "This is kT^2.": paired(kt=lambda soft, far: (soft * far) ** 2),
        "z is the softer pT divided by the sum of both; here it is divided by the harder.": paired(z=lambda soft, a, b: soft / torch.maximum(a, b)),
        "z is the share of the first particle; the softer one is meant, whichever comes first.": paired(z=lambda soft, a, b: a / (a + b)),
        "z is the share of the second particle; the softer one is meant, whichever comes first.": paired(z=lambda soft, a, b: b / (a + b)),
        "z is the share of the harder particle; that of the softer one is meant.": paired(z=lambda soft, a, b: 1 - soft / (a + b)),
        "z was divided by the pT of the summed momentum. Divide by the sum of the two pT, pt_a + pt_b.": with_share(lambda a, b: torch.minimum(*(torch.hypot(*p.T[:2]) for p in (a, b))) / torch.hypot(*(a + b).T[:2])),
        "The last column is ln m; ln m^2 is asked for.": paired(mass=lambda a, b: squared(a + b).sqrt()),
        "The length of the summed momentum is not squared: E^2 - |p|^2.": paired(mass=lambda a, b: (a + b)[:, 3] ** 2 - length(a + b)),
        "pz is missing in m^2: the momentum of both has three components.": paired(mass=lambda a, b: (a + b)[:, 3] ** 2 - (a + b)[:, :2].square().sum(dim=1)),
        "A minus before px^2 alone: all three squares of the momentum are subtracted.": paired(mass=lambda a, b: squared(a + b) + 2 * (a + b)[:, 1:3].square().sum(dim=1)),
        "z is the share of the energy; that of pT is meant.": with_share(lambda a, b: torch.minimum(a[:, 3], b[:, 3]) / (a + b)[:, 3]),
        "The masses of the two particles are missing in m^2: 2 E_a E_b (1 - cos) is that of massless ones.": paired(mass=lambda a, b: 2 * (a[:, 3] * b[:, 3] - (a * b)[:, :3].sum(dim=1))),
        "This is 2 pT_a pT_b (cosh - cos), the m^2 of massless particles; these have masses.": paired(mass=lambda a, b: 2 * torch.hypot(a[:, 0], a[:, 1]) * torch.hypot(b[:, 0], b[:, 1]) * (torch.cosh(torch.asinh(a[:, 2] / torch.hypot(a[:, 0], a[:, 1])) - torch.asinh(b[:, 2] / torch.hypot(b[:, 0], b[:, 1]))) - torch.cos(torch.atan2(a[:, 1], a[:, 0]) - torch.atan2(b[:, 1], b[:, 0])))),
        "These are the two m^2 added. The mass of a pair is that of the summed four-momentum, in which the angle between the two counts.": paired(mass=lambda a, b: squared(a) + squared(b)),
        "The momenta were subtracted as lengths, |p_a| + |p_b|: add the vectors first, then the length.": paired(mass=lambda a, b: (a[:, 3] + b[:, 3]) ** 2 - (length(a) + length(b)) ** 2),
        "The squares of the two momenta were subtracted one by one: add the vectors first, then square.": paired(mass=lambda a, b: (a[:, 3] + b[:, 3]) ** 2 - length(a) ** 2 - length(b) ** 2),
        "The difference of the momenta stands in m^2; their sum is meant.": paired(mass=lambda a, b: ((a[:, 3] + b[:, 3]) ** 2 - length(a - b) ** 2).clamp(min=1e-8)),
        "The energies were squared before they were added.": paired(mass=lambda a, b: (a[:, 3] ** 2 + b[:, 3] ** 2 - length(a + b) ** 2).clamp(min=1e-8)),
        "The logarithms are missing: the four span many orders of magnitude, and networks like numbers of order one.": paired(form=lambda *columns: torch.stack(columns, dim=1)),
        "The logarithm of z is missing.": paired(form=lambda d, kt, z, m2: torch.stack([d.log(), kt.log(), z, m2.log()], dim=1)),
        "These are logarithms to the base of ten; ln is the natural one, torch.log.": paired(form=lambda *columns: torch.stack(columns, dim=1).log10()),
        "This is ln(1 + x); ln x is asked for, also where x is small.": paired(form=lambda *columns: torch.stack(columns, dim=1).log1p()),
        "Rows and columns are exchanged: one row for each pair, (M, 4); dim=1 in torch.stack.": paired(form=lambda *columns: torch.stack(columns).log()),
        "Another order of columns: ln Delta, ln kT, ln z, ln m^2.": lambda a, b: pair_features(a, b)[:, [1, 2, 0, 3]],
        "is a NumPy array": lambda a, b: pair_features(a, b).numpy(),
    },
    accepted=[
        paired(y=lambda p: 0.5 * torch.log((p[:, 3] + p[:, 2]) / (p[:, 3] - p[:, 2])), wrap=lambda angle: torch.atan2(angle.sin(), angle.cos())),
        paired(wrap=lambda angle: torch.minimum(angle.abs(), 2 * PI - angle.abs()), mass=lambda a, b: squared(a) + squared(b) + 2 * (a[:, 3] * b[:, 3] - (a * b)[:, :3].sum(dim=1))),
    ],
)
def pair_features(a, b):
    pt_a, pt_b = torch.hypot(a[:, 0], a[:, 1]), torch.hypot(b[:, 0], b[:, 1])
    d_y = torch.atanh(a[:, 2] / a[:, 3]) - torch.atanh(b[:, 2] / b[:, 3])
    d_phi = torch.atan2(a[:, 1], a[:, 0]) - torch.atan2(b[:, 1], b[:, 0])
    d_phi = (d_phi + torch.pi) % (2 * torch.pi) - torch.pi
    delta, softer = torch.hypot(d_y, d_phi), torch.minimum(pt_a, pt_b)
    both = a + b
    m2 = both[:, 3] ** 2 - (both[:, :3] ** 2).sum(dim=1)
    return torch.stack([delta, softer * delta, softer / (pt_a + pt_b), m2], dim=1).log()


def pairs_of_vectors():
    yield drawn(6, 4, seed=1), drawn(6, 4, seed=2)
    yield drawn(4, seed=1), drawn(4, seed=2)
    yield drawn(3, 1, 4), drawn(1, 4, 4)  # every one with every other
    yield drawn(2, 3, 4, seed=1), drawn(2, 3, 4, seed=2)


def products(a, b):
    return a * b * torch.tensor([-1.0, -1, -1, 1])


@exercise(
    "11.6",
    "the Minkowski product",
    cases=pairs_of_vectors,
    returns=("the tensor of products",),
    demands=[demands.gradient],
    tolerance={"rtol": 1e-4, "atol": 1e-5},
    hints=(
        "a * b multiplies component by component: four products.",
        "The last of the four counts with plus, the other three with minus.",
        "product = a * b; product[..., 3] - product[..., :3].sum(dim=-1), where ... stands for all axes before the last.",
    ),
    mistakes={
        "All four products count with plus: this is the product of a space with four dimensions alike. The three of space count with minus.": lambda a, b: (a * b).sum(dim=-1),
        "The sign is reversed. Both conventions are in use; here the energy counts with plus, and the square of a momentum is m^2.": lambda a, b: -products(a, b).sum(dim=-1),
        "The first component was taken for the energy. Here it is the last: px, py, pz, E.": lambda a, b: products(a.roll(-1, -1), b.roll(-1, -1)).sum(dim=-1),
        "Two components of space are there; pz is missing.": lambda a, b: products(a, b)[..., [0, 1, 3]].sum(dim=-1),
        "The product of the energies is missing.": lambda a, b: products(a, b)[..., :3].sum(dim=-1),
        "This is the product of the three-momenta; that of the energies is missing.": lambda a, b: (a * b)[..., :3].sum(dim=-1),
        "The energy alone is not enough: minus the product of the three-momenta.": lambda a, b: (a * b)[..., 3],
        "This is the square of the sum, (a + b)^2. The product of the two is asked for.": lambda a, b: products(a + b, a + b).sum(dim=-1),
        "This is the square of the difference, (a - b)^2. The product of the two is asked for.": lambda a, b: products(a - b, a - b).sum(dim=-1),
        "This is the square of the first: b is not used.": lambda a, b: products(a, a).sum(dim=-1) + 0 * b[..., 0],
        "The two were added in the place of multiplied.": lambda a, b: ((a + b) * torch.tensor([-1.0, -1, -1, 1])).sum(dim=-1),
        "These are the four products; add them up, the three of space with minus.": products,
        "The sum runs over the first axis, the particles. Add the components, dim=-1.": lambda a, b: products(a, b).sum(dim=0),
        "Everything was added up: one number for each pair, (...).": lambda a, b: products(a, b).sum(),
        "The last axis is still there with length one: sum(dim=-1) drops it.": lambda a, b: products(a, b).sum(dim=-1, keepdim=True),
        "a[:, 3] is the second axis, which is that of the components only if there are two. a[..., 3] is the last one, whatever comes before.": lambda a, b: a[:, 3] * b[:, 3] - (a[:, :3] * b[:, :3]).sum(dim=1),
        "The sum runs along dim=1, which is the axis of the components only if there are two. dim=-1 is the last one, whatever comes before.": lambda a, b: (a * b)[..., 3] - (a * b)[..., :3].sum(dim=1),
        "a[3] is the fourth vector, if there are several. a[..., 3] is the fourth component.": lambda a, b: a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2],
        "A minus stands before the product of px alone: those of py and pz are subtracted as well.": lambda a, b: (products(a, b) * torch.tensor([1.0, -1, -1, 1])).sum(dim=-1),
        "The lengths of the two three-momenta are multiplied; their product as vectors is meant, in which the angle between them counts.": lambda a, b: a[..., 3] * b[..., 3] - a[..., :3].norm(dim=-1) * b[..., :3].norm(dim=-1),
        "This is the mean of the four; their sum is asked for.": lambda a, b: products(a, b).mean(dim=-1),
        "This is the root; the product itself can be negative.": lambda a, b: products(a, b).sum(dim=-1).abs().sqrt(),
        "The product has a sign, which is lost here.": lambda a, b: products(a, b).sum(dim=-1).abs(),
        "The products of all with all came. Each vector of a goes with the one of b in the same place.": lambda a, b: products(a[..., None, :], b).sum(dim=-1),
        "has no gradient any more": lambda a, b: minkowski(a.detach(), b.detach()),
        "its gradient is not the slope of the result": lambda a, b: (a * b)[..., 3] - (a.detach() * b)[..., :3].sum(dim=-1),
        "is a NumPy array": lambda a, b: minkowski(a, b).detach().numpy(),
    },
    accepted=[
        lambda a, b: products(a, b).sum(dim=-1),
        lambda a, b: torch.einsum("...i,ij,...j->...", a, torch.diag(torch.tensor([-1.0, -1.0, -1.0, 1.0])), b),
        lambda a, b: a[..., 3] * b[..., 3] - a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1] - a[..., 2] * b[..., 2],
    ],
)
def minkowski(a, b):
    product = a * b
    return product[..., 3] - product[..., :3].sum(dim=-1)


def boosts():
    for n, beta in ((6, [0.3, -0.5, 0.2]), (1, [0.0, 0.0, 0.95]), (4, [0.0, 0.0, 0.0]), (3, [0.6, 0.1, 0.4]), (5, [2e-4, -5e-4, 8e-4])):
        yield momenta(n, 7 + n), torch.tensor(beta, dtype=torch.float64)


def boosted_by(
    gamma=lambda b2: (1 - b2) ** -0.5,
    along=lambda p, beta: p[:, :3] @ beta,
    push=lambda g, b2, along, e: g**2 / (g + 1) * along + g * e,
    space=lambda p, push, beta, g: p[:, :3] + push[:, None] * beta,
    energy=lambda g, e, along, p: g * (e + along),
    join=lambda space, energy: torch.cat([space, energy[:, None]], dim=1),
):
    """Return what those write who take one of the steps in another way."""

    def answer(p, beta):
        b2 = beta @ beta
        g, component, e = gamma(b2), along(p, beta), p[:, 3]
        new = space(p, push(g, b2, component, e), beta, g)
        return join(new, energy(g, e, component, new))

    return answer


@exercise(
    "11.7",
    "boosted four-momenta",
    cases=boosts,
    returns=("the tensor of boosted momenta",),
    tolerance={"rtol": 1e-6, "atol": 1e-8},
    hints=(
        "beta @ beta is beta^2, p[:, :3] @ beta is beta . p of each particle, (T,), and gamma = (1 - beta^2) ** -0.5.",
        "(gamma - 1) / beta^2 is 0 / 0 without a boost. It is the same as gamma^2 / (gamma + 1), which divides by no zero.",
        "push = gamma**2 / (gamma + 1) * along + gamma * E is (T,); p[:, :3] + push[:, None] * beta, and gamma * (E + along) as the fourth column.",
    ),
    mistakes={
        "The boost goes into the opposite direction: a particle at rest gets the velocity beta here, not -beta.": lambda p, beta: boosted(p, -beta),
        "A boost of zero is 0 / 0. Use gamma^2 / (gamma + 1) in the place of (gamma - 1) / beta^2, or return the momenta as they are.": boosted_by(push=lambda g, b2, along, e: (g - 1) * along / b2 + g * e),
        "A boost of zero is 0 / 0, and the NaN became zeros. Nothing changes then: use gamma^2 / (gamma + 1) in the place of (gamma - 1) / beta^2.": lambda p, beta: boosted_by(push=lambda g, b2, along, e: (g - 1) * along / b2 + g * e)(p, beta).nan_to_num(),
        "A small number was added to beta^2 against the division by zero, and falsifies slow boosts: gamma^2 / (gamma + 1) needs none.": boosted_by(push=lambda g, b2, along, e: (g - 1) * along / (b2 + 1e-6) + g * e),
        "Without a velocity nothing changes: the momenta stay as they are; here they became zeros.": lambda p, beta: boosted(p, beta) * beta.any(),
        "A slow boost was taken for none. Only a velocity of zero changes nothing.": lambda p, beta: boosted(p, beta) if beta.norm() > 0.01 else p.clone(),
        "One component of zero was taken for no boost at all. All three are zero then.": lambda p, beta: boosted(p, beta) if beta[0] else p.clone(),
        "gamma E is added to each component; it is a part of what is multiplied by beta.": lambda p, beta: torch.cat([boosted_by(push=lambda g, b2, along, e: g**2 / (g + 1) * along)(p, beta)[:, :3] + (1 - beta @ beta) ** -0.5 * p[:, 3:], boosted(p, beta)[:, 3:]], dim=1),
        "The division by beta^2 is missing in (gamma - 1) (beta . p) / beta^2.": boosted_by(push=lambda g, b2, along, e: (g - 1) * along + g * e),
        "The division is by |beta|; by its square.": boosted_by(push=lambda g, b2, along, e: (g - 1) * along / b2.clamp(min=1e-30).sqrt() + g * e),
        "The part of the momentum along beta is not stretched: (gamma - 1) (beta . p) / beta^2 is missing.": boosted_by(push=lambda g, b2, along, e: g * e),
        "beta . p is one number for each particle, the sum over three components; here each component goes its own way.": boosted_by(push=lambda g, b2, along, e: g * e, space=lambda p, push, beta, g: p[:, :3] + push[:, None] * beta + g**2 / (g + 1) * p[:, :3] * beta**2),
        "gamma E is missing in the momentum: this stretches, but does not move.": boosted_by(push=lambda g, b2, along, e: g**2 / (g + 1) * along),
        "The energy in the momentum needs its gamma: gamma E beta.": boosted_by(push=lambda g, b2, along, e: g**2 / (g + 1) * along + e),
        "gamma stands in the place of gamma - 1: the momentum along beta is counted twice.": boosted_by(push=lambda g, b2, along, e: g * along / b2.clamp(min=1e-30) + g * e),
        "gamma is 1 / sqrt(1 - beta^2); the root is missing.": boosted_by(gamma=lambda b2: 1 / (1 - b2)),
        "gamma is 1 / sqrt(1 - beta^2); this is its inverse.": boosted_by(gamma=lambda b2: (1 - b2) ** 0.5),
        "gamma is 1 / sqrt(1 - beta^2); there is a plus.": boosted_by(gamma=lambda b2: (1 + b2) ** -0.5),
        "gamma was made of |beta|, not of its square.": boosted_by(gamma=lambda b2: (1 - b2.sqrt()) ** -0.5),
        "All of the momentum is stretched by gamma. What stands across beta stays as it is.": boosted_by(space=lambda p, push, beta, g: g * (p[:, :3] + p[:, 3:] * beta)),
        "This is the boost of slow things, p + E beta: the factors gamma are missing.": boosted_by(gamma=lambda b2: torch.ones_like(b2), push=lambda g, b2, along, e: e),
        "Each component was boosted by itself, as along one axis after the other. Boosts along different axes do not add up like this.":
            lambda p, beta: torch.cat([(1 - beta**2) ** -0.5 * (p[:, :3] + p[:, 3:] * beta), ((1 - beta @ beta) ** -0.5 * (p[:, 3] + p[:, :3] @ beta))[:, None]], dim=1),
        "This goes along z only; beta has three components.": lambda p, beta: boosted(p, beta * torch.tensor([0.0, 0.0, 1.0])),
        "beta was brought to the length one: its length is the velocity.": boosted_by(space=lambda p, push, beta, g: p[:, :3] + push[:, None] * beta / beta.norm().clamp(min=1e-30)),
        "The energy is the old one.": boosted_by(energy=lambda g, e, along, new: e),
        "The energy lacks beta . p: E' = gamma (E + beta . p).": boosted_by(energy=lambda g, e, along, new: g * e),
        "The energy lacks its gamma: E' = gamma (E + beta . p).": boosted_by(energy=lambda g, e, along, new: e + along),
        "The energy has the wrong sign: E' = gamma (E + beta . p), and here it is minus, as for the boost by -beta.": boosted_by(energy=lambda g, e, along, new: g * (e - along)),
        "The energy was computed with the new momentum. Both need the old one.": lambda p, beta: torch.cat([(new := boosted(p, beta)[:, :3]), ((1 - beta @ beta) ** -0.5 * (p[:, 3] + new @ beta))[:, None]], dim=1),
        "The energy is |p|, that of a particle without mass. Particles have mass: E' = gamma (E + beta . p).": boosted_by(energy=lambda g, e, along, new: new.norm(dim=1)),
        "The energy stands in front. The order is px, py, pz, E, as it came.": boosted_by(join=lambda space, energy: torch.cat([energy[:, None], space], dim=1)),
        "The energy was taken for the first component. Here it is the last: px, py, pz, E.": lambda p, beta: boosted(p.roll(-1, 1), beta).roll(1, 1),
        "The energy is missing: the fourth column.": boosted_by(join=lambda space, energy: space),
        "Momenta and energies came as two things; one tensor (T, 4) is asked for: torch.cat.": boosted_by(join=lambda space, energy: (space, energy)),
        "changes its input in place": lambda p, beta: p.copy_(boosted(p, beta)),
        "is a NumPy array": lambda p, beta: boosted(p, beta).numpy(),
    },
    accepted=[
        lambda p, beta: p.clone() if not beta.any() else boosted_by(push=lambda g, b2, along, e: (g - 1) * along / b2 + g * e)(p, beta),
        lambda p, beta: p @ boost_matrix(beta),
    ],
)
def boosted(p, beta):
    gamma = (1 - beta @ beta) ** -0.5
    along, energy = p[:, :3] @ beta, p[:, 3]  # (T,)
    push = gamma**2 / (gamma + 1) * along + gamma * energy  # (gamma - 1) / beta^2 without dividing by zero
    return torch.cat([p[:, :3] + push[:, None] * beta, gamma * (energy + along)[:, None]], dim=1)


def boost_matrix(beta):
    gamma = 1 / torch.sqrt(1 - (beta**2).sum())
    space = torch.eye(3).to(beta) + gamma**2 / (1 + gamma) * torch.outer(beta, beta)
    return torch.cat([torch.cat([space, gamma * beta[:, None]], dim=1), gamma * F.pad(beta, (0, 1), value=1.0)[None]])


class Network(nn.Module):
    """A network that is known, and that tells what it was asked."""

    def __init__(self, reads, note=lambda *given: None):
        super().__init__()
        self.reads, self.note = reads, note

    def forward(self, x, counts):
        self.note(x, counts, torch.is_grad_enabled())
        if int(counts.sum()) != len(x):
            raise ValueError(f"the counts add up to {int(counts.sum())}, but x has {len(x)} rows")
        return self.reads(x, counts)


def each(of_jet):
    """Return a network that gives each jet the numbers that `of_jet` makes of its constituents."""
    return lambda x, counts: torch.stack([of_jet(jet) for jet in x.split(counts.tolist())])


def deep_sets(pooling="sum"):
    net = DeepSets(3, phi=(8,), latent=6, rho=(8,), n_outputs=1, pooling=pooling)
    for parameter in net.parameters():
        parameter.data = drawn(*parameter.shape) / 2
    return net


def in_places(jet):
    weight = torch.arange(len(jet)) * jet[:, 1]
    return torch.stack([weight.sum(), -weight.sum()])


def packed(*counts, seed=0):
    return drawn(sum(counts), 3, seed=seed), torch.tensor(counts)


def falling(*counts, seed=0):
    """Return jets whose first column falls from constituent to constituent, as a pT does."""
    x, n = packed(*counts, seed=seed)
    x[:, 0] = torch.cat([jet[:, 0].sort(descending=True).values for jet in x.split(counts)])
    return x, n


def networks_that_read_in_order():
    yield Network(each(lambda jet: jet[:1, 0] * 3)), *falling(2, 3, 5)  # the hardest constituent
    yield Network(deep_sets()), *packed(3, 1, 4)
    yield Network(each(in_places)), *packed(2, 4, 3, seed=1)  # what one output gains, the other loses
    yield Network(each(lambda jet: torch.stack([0.1 * jet[0, 1], 2 * jet[-1, 0]]))), *falling(1, 4, 2, seed=2)
    yield Network(each(lambda jet: 60 + 9 * jet[:1, 2])), *packed(4, 2, seed=3)  # a sigmoid of this is 1
    yield Network(lambda x, n: each(lambda jet: jet[:1].sum(dim=1))(x - x.mean(dim=0), n)), *packed(2, 2, 1, seed=4)


def backwards(x, counts):
    return torch.cat([jet.flip(0) for jet in x.split(counts.tolist())])


def what_was_done(asked, x, counts):
    """Say in words in which order the constituents came to the network."""
    jets, seen = [jet.tolist() for jet in x.split(counts.tolist())], []
    for rows, n, _ in asked:
        if rows.equal(x.flip(0)) and n.equal(counts) and not rows.equal(backwards(x, counts)):
            return "the whole tensor was reversed"
        seen += [jet.tolist() for jet in rows.split(n.tolist())]
    if not asked:
        return "nothing: the network was never called"
    known = [sorted(jet) for jet in jets]
    if any(sorted(jet) not in known for jet in seen):
        return "constituents came into other jets, or other constituents came"
    if any(jet not in seen for jet in jets):
        return "the jets never came in their own order"
    if all(jet[::-1] in seen for jet in jets):
        return "reversed inside each jet"
    return "nothing" if all(jet in jets for jet in seen) else "another order than the reverse"


def asked_of(function, model, x, counts, name):
    """Return the answer, and with which tensors the network was called, and whether gradients were recorded."""
    asked = []
    model.note = lambda *given: asked.append(given)
    return call(function, model, x, counts, name=name), asked


def order_and_answer(function, model, x, counts):
    answer, asked = asked_of(function, model, x, counts, "order_matters")
    return {
        "what was done with the order": what_was_done(asked, x, counts),
        "the largest change": answer,
        "whether gradients were recorded": any(recorded for *_, recorded in asked),
    }


def compared(
    other=backwards,
    outputs=lambda model, x, counts: model(x, counts),
    change=lambda after, before: (after - before).abs(),
    combine=torch.Tensor.max,
    again=lambda counts: counts,
    number=torch.Tensor.item,
    record=torch.no_grad,
):
    """Return what those write who take one of the steps in another way."""

    def answer(model, x, counts):
        with record():
            before, after = outputs(model, x, counts), outputs(model, other(x, counts), again(counts))
            return number(combine(change(after, before)))

    return answer


@exercise(
    "11.8",
    "the test of the order",
    cases=networks_that_read_in_order,
    observe=order_and_answer,
    tolerance={"rtol": 1e-4, "atol": 2e-5},
    hints=(
        "x.split(counts.tolist()) are the jets, each a tensor (n, F), and jet.flip(0) is one of them in the reverse order.",
        "torch.cat([...]) packs them again; the counts stay as they are.",
        "with torch.no_grad(): the outputs of both, (after - before).abs().max().item().",
    ),
    mistakes={
        "The whole tensor was turned round: the first jet now has the constituents of the last one. Turn each jet by itself.": compared(lambda x, counts: x.flip(0)),
        "Constituents came into other jets, and so other jets are compared. Stay inside each jet.": compared(lambda x, counts: x[torch.randperm(len(x), generator=torch.Generator().manual_seed(3))]),
        "The constituents were shuffled inside each jet, or moved on. That is a test as well; the reverse order is asked for, so that everybody gets the same number.": compared(lambda x, n: torch.cat([jet.roll(1, 0) for jet in x.split(n.tolist())])),
        "The jets themselves were turned round, so that each is compared with another jet. Turn the constituents inside each jet.": compared(lambda x, n: torch.cat(x.split(n.tolist())[::-1]), again=lambda n: n.flip(0)),
        "Everything was turned round, the counts as well, so that each jet is compared with another one. The outputs have to be turned back.": compared(lambda x, counts: x.flip(0), again=lambda counts: counts.flip(0)),
        "The counts were turned round, the constituents were not: the jets are cut in other places.": compared(lambda x, counts: x, again=lambda counts: counts.flip(0)),
        "The features were turned round, dim=1: these are other constituents. The order of the constituents is dim=0.": compared(lambda x, counts: x.flip(1)),
        "Only the first jet was turned round.": compared(lambda x, n: torch.cat([x[: n[0]].flip(0), x[n[0] :]])),
        "The network got the same jets both times. (Sorting does nothing to jets that are sorted already.) Such a test passes whatever the network does.": compared(lambda x, counts: x),
        "Both calls got the reversed jets. Compare with the order in which they came.": lambda model, x, counts: compared(lambda x, counts: x)(model, backwards(x, counts), counts),
        "nothing: the network was never called": lambda model, x, counts: 0.0,
        "Changes up and down cancel without .abs(), and a change for the worse is no change.": compared(change=lambda after, before: after - before),
        "Changes up and down cancel without .abs(), and an output that only rises does not change then.": compared(change=lambda after, before: before - after),
        "This is the mean change: one output that changes much is hidden among many that do not. The largest is asked for.": compared(combine=torch.Tensor.mean),
        "This is the mean change, with its sign: up and down cancel. The largest absolute change is asked for.": compared(change=lambda after, before: after - before, combine=torch.Tensor.mean),
        "This is the absolute value of the mean: up and down cancel before. First .abs(), then .max().": compared(change=lambda after, before: after - before, combine=lambda d: d.mean().abs()),
        "The largest outputs were compared, not output by output.": compared(change=lambda after, before: (after.max() - before.max()).abs()),
        "The changes were added up; the largest is asked for.": compared(combine=torch.Tensor.sum),
        "This is the square of the change.": compared(change=lambda after, before: (after - before) ** 2),
        "This is the root of the mean square; the largest is asked for.": compared(combine=lambda d: (d**2).mean().sqrt()),
        "This is the change in relation to the output. The change itself is asked for.": compared(change=lambda after, before: (after - before).abs() / before.abs()),
        "The first output alone was looked at; a network can have several.": compared(combine=lambda d: d[:, 0].max()),
        "The first jet alone was looked at.": compared(combine=lambda d: d[0].max()),
        "The last jet alone was looked at.": compared(combine=lambda d: d[-1].max()),
        "Probabilities were compared. Where the network is certain they are all 0 or 1, whatever the logits do: compare the outputs.": compared(outputs=lambda model, x, counts: model(x, counts).sigmoid()),
        "A softmax was taken before the comparison. Compare the outputs as they are.": compared(outputs=lambda model, x, counts: model(x, counts).softmax(dim=1)),
        "Decisions were compared, output above zero or not. Compare the outputs themselves.": compared(outputs=lambda model, x, counts: (model(x, counts) > 0).float()),
        "This is the smallest change; the largest is asked for.": compared(combine=torch.Tensor.min),
        "There is a number for each output; the largest is asked for.": compared(combine=torch.Tensor.numpy, number=np.asarray),
        "There is a number for each jet; the largest of all is asked for.": compared(combine=lambda d: d.amax(dim=1), number=torch.Tensor.numpy),
        "This says whether something has changed; by how much is asked for.": compared(combine=lambda d: (d > 1e-4).any()),
        "This says whether the outputs agree; by how much they do not is asked for.": compared(combine=lambda d: (d < 1e-4).all()),
        "The number is right, but gradients were recorded on the way, which takes several times the memory: put the calls of the network inside `with torch.no_grad():`.": compared(record=torch.enable_grad),
        "the counts add up to": compared(lambda x, counts: x[1:]),
    },
    accepted=[
        compared(lambda x, n: x[torch.cat([torch.arange(int(end) - 1, int(end - k) - 1, -1) for end, k in zip(n.cumsum(0), n, strict=True)])], record=torch.inference_mode),
        torch.no_grad()(lambda model, x, n: (model(x, n) - model(x.flip(0), n.flip(0)).flip(0)).abs().max()),
        torch.no_grad()(lambda model, x, n: float(np.abs(np.subtract(*(model(rows, n).numpy() for rows in (x, backwards(x, n))))).max())),
    ],
)
def order_matters(model, x, counts):
    reverse = torch.cat([jet.flip(0) for jet in x.split(counts.tolist())])
    with torch.no_grad():
        return (model(reverse, counts) - model(x, counts)).abs().max().item()


def messages(scalar=lambda p, products: products.log1p().sum(dim=1), vector=lambda p, products: p, other=lambda p, products: 0):
    """Return a layer in which each constituent hears of all others of its jet, and what it makes of them."""

    def layer(p, counts):
        scalars, vectors = [], []
        for jet in p.split(counts.tolist()):
            product = minkowski(jet[:, None], jet).clamp(min=0)  # (n, n)
            hidden = scalar(jet, product)
            scalars.append(torch.stack([hidden, -2 * hidden], dim=1))
            vectors.append((1 / (10 + product)) @ vector(jet, product) + other(jet, product))
        return torch.cat(scalars), torch.cat(vectors)

    return layer


def turned(p):
    """By one radian about the axis z, and then by half of one about x."""
    (c, s), (c2, s2) = ((np.cos(angle), np.sin(angle)) for angle in (1.0, 0.5))
    x, y = c * p[:, 0] - s * p[:, 1], s * p[:, 0] + c * p[:, 1]
    return torch.stack([x, c2 * y - s2 * p[:, 2], s2 * y + c2 * p[:, 2], p[:, 3]], dim=1)


def faster(p):
    return boosted(p, torch.tensor([0.2, -0.3, 0.6], dtype=torch.float64))


def layers():
    jets = momenta(9, 21), torch.tensor([2, 1, 4, 2])
    energy = {"scalar": lambda p, _: p[:, 3].log(), "vector": lambda p, _: p * p[:, 3:].log()}
    upwards = {"scalar": lambda p, _: p[:, 0] / 10, "other": lambda p, _: torch.tensor([0.0, 900.0, 0.0, 0.0])}
    yield messages(**energy, other=lambda p, _: torch.tensor([0.0, 60.0, 0.0, 0.0])), *jets, faster  # in neither of both
    yield messages(), *jets, faster  # in both
    yield messages(scalar=lambda p, products: products.log1p().sum(dim=1) + p[:, 3] / 50), *jets, faster
    yield messages(other=lambda p, _: torch.tensor([0.0, 0.0, 0.0, 5.0])), *jets, faster
    yield messages(**energy), *jets, turned
    yield messages(**upwards), *jets, turned


def symmetry_by(
    after=lambda layer, p, counts, transform: layer(transform(p), counts),
    expected=lambda vectors, transform: transform(vectors),
    scalar_change=lambda after, before: (after - before).abs().max(),
    off=lambda after, expected: (after - expected).abs().max(),
    size=lambda expected, before, after, p: expected.abs().max(),
    returned=lambda change, off: (change.item(), off.item()),
):
    """Return what those write who take one of the steps in another way."""

    def answer(layer, p, counts, transform):
        (scalars, vectors), (new_scalars, new_vectors) = layer(p, counts), after(layer, p, counts, transform)
        aim = expected(vectors, transform)
        size_of = size(aim, vectors, new_vectors, p)
        return returned(scalar_change(new_scalars, scalars), off(new_vectors, aim) / size_of)

    return answer


@torch.no_grad()
def one_after_the_other(layer, p, counts, transform):
    (s, v), (new_s, new_v) = layer(p, counts), layer(transform(p), counts)
    aim = transform(v)
    return [np.abs(new_s.numpy() - s.numpy()).max(), float((aim - new_v).abs().max() / max(aim.max(), -aim.min()))]


@exercise(
    "11.9",
    "the test of a symmetry",
    cases=layers,
    returns=("the change of the scalars", "the relative difference of the vectors"),
    tolerance={"rtol": 1e-6, "atol": 1e-9},
    hints=(
        "Call the layer twice, with p and with transform(p).",
        "Scalars should stay as they are. Vectors should be what becomes of the old ones: transform(vectors).",
        "(new_vectors - transform(vectors)).abs().max() / transform(vectors).abs().max()",
    ),
    mistakes={
        "The vectors were compared with those before. They should not stay: they should be turned or boosted like the momenta, transform(vectors).": symmetry_by(expected=lambda vectors, transform: vectors),
        "The transformation was applied to the vectors afterwards as well, as if it had not been in the momenta already.": lambda layer, p, counts, transform: symmetry_by(after=lambda *given: (layer(transform(p), counts)[0], transform(layer(transform(p), counts)[1])))(layer, p, counts, transform),
        "The momenta were never transformed before the second call. Such a test says zero whatever the layer does with scalars.": symmetry_by(after=lambda layer, p, counts, transform: layer(p, counts)),
        "The layer was called once, and its vectors transformed by the test itself: both sides are the same whatever the layer does. Call it with transform(p) as well.": symmetry_by(after=lambda layer, p, counts, transform: (layer(p, counts)[0], transform(layer(p, counts)[1]))),
        "Vectors of the transformed momenta were compared with the transformed momenta themselves.": lambda layer, p, counts, transform: symmetry_by(expected=lambda vectors, transform: transform(p))(layer, p, counts, transform),
        "The difference of the vectors is not divided by their size. A number without a scale says little: GeV, or thousands of them.": symmetry_by(size=lambda *given: 1),
        "This is divided by the size of the vectors before the transformation; the transformed ones are meant.": symmetry_by(size=lambda expected, before, after, p: before.abs().max()),
        "This is divided by the vectors that came out; the transformed ones are meant, what they should be.": symmetry_by(size=lambda expected, before, after, p: after.abs().max()),
        "This is divided by the momenta that went in; the transformed vectors are meant.": symmetry_by(size=lambda expected, before, after, p: p.abs().max()),
        "Each component was divided by itself: one that is nearly zero by chance then decides. Divide by the largest of all.": lambda *given: symmetry_by(off=lambda after, expected: ((after - expected) / expected).abs().max(), size=lambda *sizes: 1)(*given),
        "The largest component was taken with its sign: .abs() belongs before .max(), also in the size.": symmetry_by(size=lambda expected, before, after, p: expected.max()),
        "This is divided by the mean size; by the largest.": symmetry_by(size=lambda expected, before, after, p: expected.abs().mean()),
        "Changes of the scalars up and down cancel without .abs(): some outputs only fall.": symmetry_by(scalar_change=lambda after, before: (after - before).max()),
        "This is the mean change of the scalars; the largest is asked for.": symmetry_by(scalar_change=lambda after, before: (after - before).abs().mean()),
        "This is the mean change of the scalars with its sign, in which up and down cancel.": symmetry_by(scalar_change=lambda after, before: (after - before).mean()),
        "The changes were added up; the largest is asked for.": symmetry_by(scalar_change=lambda after, before: (after - before).abs().sum(), off=lambda after, expected: (after - expected).abs().sum(), size=lambda expected, before, after, p: expected.abs().sum()),
        "The momenta were transformed twice before the second call.": symmetry_by(after=lambda layer, p, counts, transform: layer(transform(transform(p)), counts)),
        "The change of the scalars is relative here; it is asked for as it is.": symmetry_by(scalar_change=lambda after, before: (after - before).abs().max() / before.abs().max()),
        "The first scalar alone was looked at; there are C of them.": symmetry_by(scalar_change=lambda after, before: (after - before)[:, 0].abs().max()),
        "The first constituent alone was looked at.": symmetry_by(scalar_change=lambda after, before: (after - before)[0].abs().max(), off=lambda after, expected: (after - expected)[0].abs().max()),
        "Differences of the vectors with their sign: .abs() before .max().": symmetry_by(off=lambda after, expected: (after - expected).max()),
        "This is the mean difference of the vectors; the largest is asked for.": symmetry_by(off=lambda after, expected: (after - expected).abs().mean()),
        "This is the mean difference of the vectors over the mean size; the largest ones are asked for.": symmetry_by(off=lambda after, expected: (after - expected).abs().mean(), size=lambda expected, before, after, p: expected.abs().mean()),
        "This is the length of all differences together, not the largest.": symmetry_by(off=lambda after, expected: (after - expected).norm()),
        "The lengths of the differences were compared, with the length of a vector; the largest component is asked for.": symmetry_by(off=lambda after, expected: (after - expected).norm(dim=1).max(), size=lambda expected, before, after, p: expected.norm(dim=1).max()),
        "The largest vectors were compared, not component by component.": symmetry_by(off=lambda after, expected: (after.abs().max() - expected.abs().max()).abs()),
        "The largest scalars were compared, not one by one.": symmetry_by(scalar_change=lambda after, before: (after.abs().max() - before.abs().max()).abs()),
        "The masses of the vectors were compared. A vector with the right mass can still point anywhere: compare its components.": symmetry_by(expected=lambda vectors, transform: vectors, off=lambda after, before: (squared(after) - squared(before)).abs().max(), size=lambda expected, before, after, p: squared(before).abs().max()),
        "The energies alone were compared; a vector has four components.": symmetry_by(off=lambda after, expected: (after - expected)[:, 3].abs().max()),
        "The energies were left out; a vector has four components.": symmetry_by(off=lambda after, expected: (after - expected)[:, :3].abs().max()),
        "The two numbers are exchanged: first that of the scalars.": lambda *given: symmetry_test(*given)[::-1],
        "These say whether the symmetry holds; by how much it is broken is asked for.": lambda *given: tuple(value < 1e-6 for value in symmetry_test(*given)),
        "should return the change of the scalars and the relative difference of the vectors": lambda *given: max(symmetry_test(*given)),
    },
    accepted=[
        symmetry_by(returned=lambda change, off: torch.stack([change, off])),
        one_after_the_other,
    ],
)
def symmetry_test(layer, p, counts, transform):
    scalars, vectors = layer(p, counts)
    new_scalars, new_vectors = layer(transform(p), counts)
    expected = transform(vectors)
    off = (new_vectors - expected).abs().max() / expected.abs().max()
    return (new_scalars - scalars).abs().max().item(), off.item()


def networks_and_jets():
    pairs_in = each(lambda jet: (jet[:, None] * jet).sum(dim=2).tanh().sum()[None] - 3)
    first_of_two = each(lambda jet: torch.stack([(jet[:, 0] * jet[:, 1].roll(1)).sum() + jet[0, 2], 7 + jet.sum()]))
    yield Network(deep_sets()), *packed(2, 3, 4)
    yield Network(pairs_in), *packed(5, 2, seed=1)  # what one means depends on the others
    yield Network(first_of_two), *packed(3, 3, 2, seed=2)  # two outputs, and the order counts
    yield Network(deep_sets("mean")), *packed(4, seed=3)


def left_out_and_answer(function, model, x, counts):
    answer, asked = asked_of(function, model, x, counts, "occluded")
    return {"the tensor of changes": answer, "whether gradients were recorded": any(recorded for *_, recorded in asked)}


def left_out(
    change=lambda full, without: full - without,
    without=lambda jet, i: torch.cat([jet[:i], jet[i + 1 :]]),
    output=lambda out: out[0, 0],
    record=torch.no_grad,
    join=torch.stack,
):
    """Return what those write who take one of the steps in another way."""

    def answer(model, x, counts):
        with record():
            ask = lambda rows: output(model(rows, torch.tensor([len(rows)])))  # noqa: E731 - short
            jets = [(jet, i) for jet in x.split(counts.tolist()) for i in range(len(jet))]
            return join([change(ask(jet), ask(without(jet, i))) for jet, i in jets])

    return answer


def in_one_batch(jet_of=torch.repeat_interleave, fewer_in=lambda jet: jet):
    """Return what those write who leave out rows of the whole batch, and lower the count of a jet."""

    def answer(model, x, counts):
        jet, changes = jet_of(counts), []
        with torch.no_grad():
            full = model(x, counts)[:, 0]
            for i in range(len(x)):
                fewer = counts - F.one_hot(fewer_in(jet[i]), len(counts))
                changes.append(full[jet[i]] - model(x[torch.arange(len(x)) != i], fewer)[jet[i], 0])
        return torch.stack(changes)

    return answer


def slope_of(times=lambda slope, x: slope.sum(dim=1)):
    def answer(model, x, counts):
        x = x.clone().requires_grad_()
        return times(torch.autograd.grad(model(x, counts)[:, 0].sum(), x)[0], x).detach()

    return answer


@exercise(
    "11.10",
    "what the output owes to each constituent",
    cases=networks_and_jets,
    observe=left_out_and_answer,
    tolerance={"rtol": 1e-3, "atol": 2e-5},
    hints=(
        "For each constituent: the same jet without its row, and a count that is smaller by one.",
        "A jet of n constituents gives n jets of n - 1, which can go through the network as one batch: counts n times n - 1.",
        "jet.expand(n, n, -1)[~torch.eye(n, dtype=torch.bool)] has the rows of these n jets, one after the other; the output of the full jet minus model(without, ...)[:, 0] are the changes.",
    ),
    mistakes={
        "The sign is reversed: full minus without, so that a constituent that speaks for a top comes out above zero.": left_out(lambda full, without: without - full),
        "The sign is lost: a constituent can speak for a top or against it.": left_out(lambda full, without: (full - without).abs()),
        "The constituent was set to zero. A row of zeros is still a constituent, one that was never there, and the network counts it: take the row out, and lower the count.": left_out(without=lambda jet, i: jet * (torch.arange(len(jet)) != i)[:, None]),
        "The constituent was exchanged for the mean of the others; take the row out.": left_out(without=lambda jet, i: torch.where(torch.arange(len(jet))[:, None] == i, jet.mean(dim=0), jet)),
        "The count of the first jet became smaller, whichever jet lost a constituent: the rows of the other jets move into wrong ones.": in_one_batch(fewer_in=lambda jet: 0 * jet),
        "the counts add up to": lambda model, x, counts: model(x[1:], counts)[:, 0],
        "The constituents in front of it were taken out as well: leave out one at a time.": left_out(without=lambda jet, i: jet[i + 1 :] if i + 1 < len(jet) else jet[:1] * 0),
        "The constituents behind it were taken out as well: leave out one at a time.": left_out(without=lambda jet, i: jet[:i]),
        "This is the jet with this constituent alone, not the jet without it.": left_out(without=lambda jet, i: jet[i : i + 1]),
        "This is the output of the jet with this constituent alone. Full minus without it is asked for.": left_out(lambda full, without: without, without=lambda jet, i: jet[i : i + 1]),
        "This is the output without the constituent; subtract it from that of the full jet.": left_out(lambda full, without: without),
        "Another constituent of the jet was left out, the last for the first: the rows come in another order.": left_out(without=lambda jet, i: torch.cat([jet[: len(jet) - 1 - i], jet[len(jet) - i :]])),
        "The constituents that stayed came in another order: what was in front was put behind. Some networks read the order.": left_out(without=lambda jet, i: torch.cat([jet[i + 1 :], jet[:i]])),
        "jet.repeat_interleave(n, dim=0) repeats each row n times before the next one comes. The whole jet is needed n times: expand, or repeat.":
            lambda model, x, n: torch.no_grad()(lambda: torch.cat([model(jet, torch.tensor([len(jet)]))[:, 0] - model(jet.repeat_interleave(len(jet), dim=0)[~torch.eye(len(jet)).bool().flatten()], torch.full((len(jet),), len(jet) - 1))[:, 0] for jet in x.split(n.tolist())]))(),
        "The first constituent of each jet was counted as one of the jet before: torch.searchsorted needs right=True.": in_one_batch(jet_of=lambda counts: torch.searchsorted(counts.cumsum(0), torch.arange(int(counts.sum())))),
        "This is a change of probabilities. Where the network is certain they hardly change: take the logit, the output as it is.": left_out(output=lambda out: out[0, 0].sigmoid()),
        "The last output was taken, not the first.": left_out(output=lambda out: out[0, -1]),
        "The outputs were added up; the first column is asked for.": left_out(output=lambda out: out[0].sum()),
        "The change is divided by the output; it is asked for as it is.": left_out(lambda full, without: (full - without) / full),
        "This is the slope of the output: what happens if the constituent changes a little, not if it is missing.": slope_of(),
        "This is slope times input, the change if the network were linear. Leave the constituent out, and ask the network.": slope_of(lambda slope, x: (slope * x).sum(dim=1)),
        "The changes of each jet were scaled to add up to one. What each is worth is asked for as it is.":
            lambda model, x, n: torch.cat([part / part.sum() for part in occluded(model, x, n).split(n.tolist())]),
        "The changes are divided by the number of constituents. What each is worth is asked for as it is.": lambda model, x, n: occluded(model, x, n) / torch.repeat_interleave(n, n),
        "There is one number for each jet; each constituent has its own, (T,).": lambda model, x, n: torch.stack([part.mean() for part in occluded(model, x, n).split(n.tolist())]),
        "This is the length of the slope: what happens if the constituent changes a little, not if it is missing; and it has no sign.": slope_of(lambda slope, x: slope.norm(dim=1)),
        "The changes are sorted. They come in the order of the constituents.": lambda *given: occluded(*given).sort(descending=True).values,
        "There is a list for each jet; one tensor (T,) is asked for, torch.cat.": lambda model, x, n: [*occluded(model, x, n).split(n.tolist())],
        "There is one axis too many: (T,), not (T, 1).": lambda *given: occluded(*given)[:, None],
        "Only the first jet was looked at.": lambda model, x, n: occluded(model, x[: n[0]], n[:1]),
        "The changes of all outputs came; the first column is asked for.": left_out(output=lambda out: out[0]),
        "is a NumPy array": lambda *given: occluded(*given).numpy(),
        "The changes are right, but gradients were recorded on the way, which takes several times the memory: put the calls of the network inside `with torch.no_grad():`.": left_out(record=torch.enable_grad),
        "should be a tensor of numbers": left_out(join=str),
    },
    accepted=[
        left_out(record=torch.inference_mode),
        in_one_batch(),
        left_out(join=lambda changes: torch.tensor([float(change) for change in changes])),
    ],
)
def occluded(model, x, counts):
    changes = []
    with torch.no_grad():
        for jet, full in zip(x.split(counts.tolist()), model(x, counts)[:, 0], strict=True):
            n = len(jet)
            without = jet.expand(n, n, -1)[~torch.eye(n, dtype=torch.bool)]  # n jets, each without one constituent
            changes.append(full - model(without, counts.new_full((n,), n - 1))[:, 0])
    return torch.cat(changes)
