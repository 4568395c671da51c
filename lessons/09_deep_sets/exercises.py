"""Exercises of lesson 09: a jet as a set, from padding and masks to packed constituents, safety and errors."""

import functools
import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from coursekit.checks import call, demands, describe, exercise, fail
from coursekit.metrics import auc

# --- 9.1 --------------------------------------------------------------------------------------------------------------


def jets_of_many_lengths():
    rng = np.random.default_rng(91)
    for n, length in ((5, 8), (8, 8), (1, 6), (9, 6)):
        jet = rng.normal(size=(n, 3)).astype(np.float32)
        jet[0, 0], jet[-1] = -1.0, -abs(jet[-1])  # standardised values can be negative
        if n > 4:
            jet[1, 0], jet[2] = 0, 0  # or zero
        yield torch.from_numpy(jet), length


def with_dirty_memory(function, constituents, length):
    """Call it while `torch.empty` returns NaN, not the zeros that happen to be there."""
    torch.use_deterministic_algorithms(True)
    try:
        return call(function, constituents, length, name="padded")
    finally:
        torch.use_deterministic_algorithms(False)


def slots_of(wrong):
    return lambda jet, length: (wrong(jet[:length], length), padded(jet, length)[1])


def mask_of(wrong):
    """What those write who get the slots right, and make another mask of slots and mask."""
    return lambda jet, length: (padded(jet, length)[0], wrong(*padded(jet, length)))


def padded_before(jet, length):
    kept = jet[:length]
    return F.pad(kept, (0, 0, length - len(kept), 0)), torch.arange(length) >= length - len(kept)


def padded_without_zeros(jet, length):
    slots = torch.empty(length, jet.shape[1])
    slots[: len(jet)] = jet[:length]
    return slots, torch.arange(length) < len(jet)


def padded_in_a_loop(jet, length):
    rows = [jet[i] if i < len(jet) else torch.zeros(jet.shape[1], dtype=torch.float64) for i in range(length)]
    return torch.stack(rows), torch.tensor([i < len(jet) for i in range(length)])


@exercise(
    "9.1",
    "one jet padded, with its mask",
    cases=jets_of_many_lengths,
    returns=("slots", "mask"),
    observe=with_dirty_memory,
    hints=(
        "Begin with zeros for all slots, torch.zeros(length, constituents.shape[1]), and write the constituents into the first of them.",
        "slots[:n] = constituents[:length], with n the number that fits.",
        "torch.arange(length) < n is True for the first n slots.",
    ),
    mistakes={
        "The constituents stand at the end; here they come first.": padded_before,
        "Padding repeats the last constituent. That is a particle that was never there: use zeros.": slots_of(lambda jet, length: jet[torch.arange(length).clamp(max=len(jet) - 1)]),
        "The last constituent is dropped.": slots_of(lambda jet, length: F.pad(jet[:-1], (0, 0, 0, length + 1 - len(jet)))),
        "Slots and features are exchanged.": lambda jet, length: (padded(jet, length)[0].T, padded(jet, length)[1]),
        "The longest jets have more than `length` constituents, and the first `length` are kept. Here all are.": lambda jet, length: padded(jet, max(length, len(jet))),
        "torch.empty leaves in the slots whatever stood in the memory, zeros by luck: torch.zeros.": padded_without_zeros,
        "The mask is turned round: True means a real constituent.": mask_of(lambda slots, real: ~real),
        "Every slot is marked as real.": mask_of(lambda slots, real: torch.ones_like(real)),
        "The mask asks for values above zero. Standardised values of real constituents can be negative; it is their number that says which slots are real.": mask_of(lambda slots, real: slots[:, 0] > 0),
        "The mask asks for values that are not zero. A real constituent can have a zero; it is their number that says which slots are real.": mask_of(lambda slots, real: slots[:, 0] != 0),
        "The mask asks for rows that are not zero. A real constituent can have zeros only; it is their number that says which slots are real.": mask_of(lambda slots, real: slots.any(dim=1)),
        "The rows that are not zero were counted. A real constituent can have zeros only: len(constituents).": mask_of(lambda slots, real: torch.arange(len(slots)) < slots.any(dim=1).sum()),
        "The mask has one entry for each number; one for each slot is enough.": mask_of(lambda slots, real: real[:, None].expand(slots.shape)),
        "The last constituent is missing from the mask.": mask_of(lambda slots, real: torch.arange(len(slots)) < real.sum() - 1),
        "a bool array can select": mask_of(lambda slots, real: real.float()),
        "is a NumPy array. The lesson goes on with a tensor": slots_of(lambda *jet: padded(*jet)[0].numpy()),
    },
    accepted=[
        padded_in_a_loop,
        lambda jet, length: (F.pad(jet, (0, 0, 0, length - len(jet))), torch.arange(length) < len(jet)),
        lambda jet, length: [
            torch.cat([x[:length], x.new_zeros(max(length - len(x), 0), *x.shape[1:])])
            for x in (jet, torch.ones(len(jet), dtype=torch.bool))
        ],
    ],
)
def padded(constituents, length):
    kept = constituents[:length]
    slots = torch.zeros(length, constituents.shape[1])
    slots[: len(kept)] = kept
    return slots, torch.arange(length) < len(kept)


# --- 9.2 --------------------------------------------------------------------------------------------------------------


def two_samples():
    rng = np.random.default_rng(92)

    def sample(counts, scale, shift):
        mask = np.arange(12) < np.array(counts)[:, None]
        jets = rng.normal(shift, scale, (len(counts), 12, 3)) * np.array([20.0, 5.0, 9.0]) + np.array([30.0, 0.0, 4.0])
        jets[0, 1, 0], jets[1, 0] = 0, 0  # zeros that were measured
        return np.where(mask[..., None], jets, 0), mask

    yield *sample([3, 7, 12, 5, 9, 2], 1.0, 0.3), *sample([4, 10, 6, 12], 1.6, -0.4)


def scaled(numbers, keep=lambda other, mask: mask[..., None]):
    """What those write who take mean and spread of something else, or leave other slots zero."""

    def answer(train, train_mask, other, other_mask):
        mean, std = numbers(train, train_mask, other, other_mask)
        return np.where(keep(other, other_mask), (other - mean) / std, 0)

    return answer


def of(rows):
    return rows.mean(axis=0), rows.std(axis=0)


def of_training(train, train_mask, *_):
    return of(train[train_mask])


def of_all_slots(train, *_):
    return of(train.reshape(-1, 3))


def of_themselves(train, train_mask, other, other_mask):
    return of(other[other_mask])


def each_jet_by_itself(train, train_mask, other, other_mask):
    scaled = np.zeros_like(other)
    for jet, real, result in zip(other, other_mask, scaled, strict=True):
        result[real] = (jet[real] - jet[real].mean(axis=0)) / jet[real].std(axis=0)
    return scaled


def standardised_in_place(train, train_mask, other, other_mask):
    mean, std = of(train[train_mask])
    other[other_mask] = (other[other_mask] - mean) / std
    return other


def standardised_feature_by_feature(train, train_mask, other, other_mask):
    scaled = np.zeros_like(other)
    for feature in range(other.shape[-1]):
        real = train[..., feature][train_mask]
        scaled[..., feature] = (other[..., feature] - real.mean()) / real.std() * other_mask
    return scaled


@exercise(
    "9.2",
    "momenta scaled with the training constituents",
    cases=two_samples,
    returns=("the array of scaled momenta",),
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "train[train_mask] are the real constituents of all training jets, shape (T, F).",
        "One mean and one standard deviation for each feature: .mean(axis=0) and .std(axis=0) of them.",
        "np.where(other_mask[..., None], (other - mean) / std, 0) leaves the padding at zero.",
    ),
    mistakes={
        "The jets are scaled by themselves, with their own mean and spread. The same constituent then becomes another input in each sample: use the numbers of the training jets for all.": scaled(of_themselves),
        "The padding takes part in mean and spread. Three quarters of the slots are zeros that no detector measured: use train[train_mask].": scaled(of_all_slots),
        "The jets are scaled by themselves, and the padding takes part.": scaled(lambda train, train_mask, other, other_mask: of(other.reshape(-1, 3))),
        "Each jet is scaled by itself. Its energy, and how it is shared, are gone then.": each_jet_by_itself,
        "All features share one mean and one spread. An energy and a px need their own.": scaled(lambda train, mask, *_: (train[mask].mean(), train[mask].std())),
        "This is divided by the variance. Divide by the standard deviation.": scaled(lambda train, mask, *_: (train[mask].mean(axis=0), train[mask].var(axis=0))),
        "A zero in a real constituent was taken for padding. The mask says which slots are real.": scaled(of_training, keep=lambda other, mask: other != 0),
        "A real constituent of zeros only was taken for padding. The mask says which slots are real.": scaled(of_training, keep=lambda other, mask: other.any(axis=-1, keepdims=True)),
        "A training constituent of zeros only was taken for padding. Use train[train_mask].": scaled(lambda train, *_: of(train[train.any(axis=-1)])),
        "The mean is not subtracted.": scaled(lambda *jets: (0, of_training(*jets)[1])),
        "The mean is subtracted; the division by the standard deviation is missing.": scaled(lambda *jets: (of_training(*jets)[0], 1)),
        "These are the training jets; the third argument holds those to be scaled.": lambda train, mask, *_: standardised(train, mask, train, mask),
        **{f"The padding is no longer zero: it became (0 - mean) / std, a particle like any other.{more}": scaled(numbers, keep=lambda other, mask: True) for more, numbers in (("", of_training), (" And the padding takes part in mean and spread.", of_all_slots), (" And the jets are scaled by themselves.", of_themselves))},
        "changes its input in place": standardised_in_place,
    },
    # Divided by N - 1, as torch does.
    alternatives=[scaled(lambda train, mask, *_: (train[mask].mean(axis=0), train[mask].std(axis=0, ddof=1)))],
    accepted=[
        lambda *jets: standardised(*jets).astype(np.float32),
        standardised_feature_by_feature,
    ],
)
def standardised(train, train_mask, other, other_mask):
    real = train[train_mask]  # (T, F): the constituents of all training jets
    return np.where(other_mask[..., None], (other - real.mean(axis=0)) / real.std(axis=0), 0)


# --- 9.3 --------------------------------------------------------------------------------------------------------------


def sets():
    rng = np.random.default_rng(93)
    for counts, places in (([7, 2, 5, 3, 6], None), ([1, 0, 4], [0, 2, 3, 6])):
        mask = torch.arange(7) < torch.tensor(counts)[:, None]
        if places:  # real slots can stand anywhere
            mask[-1] = torch.isin(torch.arange(7), torch.tensor(places))
        yield torch.tensor(rng.normal(1, 1, (len(counts), 7, 4))).float().relu(), mask  # zeros, as a ReLU leaves them


def total(h, m):
    return (h * m[..., None]).sum(dim=1)


def number(m):
    return m.sum(dim=1)[:, None]


def without_last(h, m):
    """The sum over all real constituents but the last one of each jet."""
    return torch.stack([jet[real][:-1].sum(dim=0) for jet, real in zip(h, m, strict=True)])


def first_n(h, m):
    return torch.stack([jet[:n].sum(dim=0) / max(n, 1) for jet, n in zip(h, m.sum(dim=1).tolist(), strict=True)])


def a_new_leaf(h, m):
    return torch.tensor(masked_mean(h, m).detach().numpy(), requires_grad=True)


class MeanOfReal(nn.Module):
    def forward(self, h, m):
        return torch.einsum("npl,np->nl", h, m.float()) / number(m).clamp(min=1)


@exercise(
    "9.3",
    "the mean over real constituents",
    cases=sets,
    returns=("the mean",),
    demands=[demands.gradient],
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "Two steps: the sum over the real slots of each jet, and their number.",
        "latent * mask[..., None] is zero in the padding; the sum over slots is .sum(dim=1).",
        "mask.sum(dim=1) is n; .clamp(min=1) keeps an empty jet from 0 / 0; n[:, None] divides each row.",
    ),
    mistakes={
        "The mask is forgotten: padding counts as particles. phi of a padded slot is not zero, because of its bias.": lambda h, m: h.mean(dim=1),
        "The padding is set to zero, but still counted: the sum is divided by the number of slots. Divide by the number of constituents, mask.sum(dim=1).": lambda h, m: (h * m[..., None]).mean(dim=1),
        "The sum is divided by the number of constituents of the longest jet; each jet has its own.": lambda h, m: total(h, m) / number(m).max(),
        "The sum runs over the padding too; multiply by the mask before the sum.": lambda h, m: h.sum(dim=1) / number(m).clamp(min=1),
        "The last constituent is dropped, from the sum and from the number.": lambda h, m: without_last(h, m) / (number(m) - 1),
        "The last constituent is dropped from the sum.": lambda h, m: without_last(h, m) / number(m).clamp(min=1),
        "The sum is divided by n - 1. That belongs to a variance.": lambda h, m: total(h, m) / (number(m) - 1),
        "This is the sum over the wrong axis: it adds the L numbers of a slot. Add the slots of a jet, dim=1.": lambda h, m: (h * m[..., None]).sum(dim=2) / number(m),
        "This is the sum over the wrong axis: it mixes different jets. Add the slots of a jet, dim=1.": lambda h, m: (h * m[..., None]).sum(dim=0) / m.sum(dim=0)[:, None].clamp(min=1),
        "The sum is divided by the number of constituents in the whole batch.": lambda h, m: total(h, m) / m.sum(),
        "The sum is divided by the mean number of constituents; each jet has its own.": lambda h, m: total(h, m) / number(m).float().mean(),
        "The numbers that are not zero were counted. A ReLU makes zeros in real slots: count with the mask.": lambda h, m: total(h, m) / (h * m[..., None] != 0).sum(dim=1).clamp(min=1),
        "This is the sum; divide by the number of constituents.": total,
        "This is one mean for the whole batch: each jet needs its own.": lambda h, m: h[m].mean(dim=0),
        "This is the mean over the padding: the mask is True for real constituents.": lambda h, m: masked_mean(h, ~m),
        "This is the largest entry, not the mean.": lambda h, m: h.masked_fill(~m[..., None], -torch.inf).amax(dim=1),
        "A jet without constituents gives 0 / 0, and one NaN stops a training. .clamp(min=1) on n.": lambda h, m: total(h, m) / number(m),
        "The first n slots were taken. Real slots can stand anywhere: the mask says where.": first_n,
        "has no gradient any more": lambda h, m: masked_mean(h.detach(), m),
        "a new tensor made of its values cut the chain": a_new_leaf,
        "its gradient contains NaN": lambda h, m: torch.nan_to_num(total(h, m) / number(m)),
        "is a NumPy array": lambda h, m: masked_mean(h, m).detach().numpy(),
    },
    accepted=[
        lambda h, m: torch.where(m[..., None], h, 0).double().sum(dim=1) / number(m).clamp(min=1),
        lambda h, m: torch.stack(
            [jet[real].mean(dim=0) if real.any() else 0 * jet[0] for jet, real in zip(h, m, strict=True)]
        ),
        MeanOfReal(),
    ],
)
def masked_mean(latent, mask):
    n = mask.sum(dim=1).clamp(min=1)  # (N,)
    return (latent * mask[..., None]).sum(dim=1) / n[:, None]


# --- 9.4 --------------------------------------------------------------------------------------------------------------

ACTIVATIONS = {
    "nothing": lambda x: x,
    "ReLU": torch.relu,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
    "LogSigmoid": F.logsigmoid,
    "LeakyReLU": F.leaky_relu,
    "GELU": F.gelu,
    "SiLU": F.silu,
    "ELU": F.elu,
    "Softmax": lambda x: x.softmax(dim=-1),
    "Softmax over constituents": lambda x: x.softmax(dim=-2),
    "Softmax over jets": lambda x: x.softmax(dim=0),
}


@functools.cache
def drawn(*shape):
    """Numbers for a parameter, the same ones for each of this shape, so that two networks can be compared."""
    return torch.tensor(np.random.default_rng(shape).normal(size=shape), dtype=torch.float32)


def what_follows(network, name, x, sizes):
    """Give the network known parameters, and find by trial what stands behind each of its two linear layers."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(drawn(*parameter.shape))
        got = call(network, x, name=name)
    for first, second in itertools.product(ACTIVATIONS, repeat=2):
        h = x
        for n_in, n_out, behind in ((*sizes[:2], first), (*sizes[1:], second)):
            h = ACTIVATIONS[behind](F.linear(h, drawn(n_out, n_in), drawn(n_out)))
        if h.shape == got.shape and torch.allclose(h, got, rtol=1e-3, atol=1e-4):
            return f"{first}, {second}"
    return f"something else, which makes {describe(got)}"


def parts(function, n_features, width):
    """Look at two networks: their shapes and parameters, and what they compute."""
    networks, others = (call(function, n_features, width, name="build_networks") for _ in range(2))
    if not isinstance(networks, tuple | list) or len(networks) != 2:
        fail(f"build_networks should return two things, phi and rho; what came is {describe(networks)}.")
    for name, network in zip(("phi", "rho"), networks, strict=True):
        if not isinstance(network, nn.Module):
            fail(f"{name} should be a network, an nn.Sequential for instance; what came is {describe(network)}.")
    kinds = " ".join(type(layer).__name__ for network in networks for layer in network.modules())
    if "BatchNorm" in kinds:
        fail("a BatchNorm mixes the constituents of all jets of a batch, padding included. Leave it out.")
    if "Dropout" in kinds:
        fail("there is a dropout: two answers to the same question would differ. No dropout here, please.")
    x = {"phi": drawn(3, 4, n_features), "rho": 3 * drawn(40, width)}
    found = {
        f"the shape of {name}'s output": str(tuple(call(network, x[name], name=name).shape))
        for name, network in zip(x, networks, strict=True)
    }  # the first call also makes the parameters of lazy layers
    phi, rho, phi_2, rho_2 = (list(network.parameters()) for network in (*networks, *others))
    ids = [{*map(id, parameters)} for parameters in (phi, rho, phi_2 + rho_2)]
    found |= {
        "the number of parameters of phi": sum(p.numel() for p in phi),
        "the number of parameters of rho": sum(p.numel() for p in rho),
        "the number of parameters that phi and rho share": len(ids[0] & ids[1]),
        "the number of parameters that two calls share": len((ids[0] | ids[1]) & ids[2]),
        "the number of parameters with requires_grad=False": sum(not p.requires_grad for p in phi + rho),
        "the number of layers whose weights all begin alike": sum(
            bool((p == p.ravel()[0]).all()) for p in phi + rho if p.ndim > 1
        ),
    }
    for name, network, sizes in zip(x, networks, ((n_features, width, width), (width, width, 1)), strict=True):
        found[f"what follows the two layers of {name}"] = what_follows(network, name, x[name], sizes)
    return found


def stacked(n, layers, width):
    """Stack linear layers from `n` units to the numbers among `layers`, "w" for the width, and what else is there."""
    network = []
    for layer in layers:
        if callable(layer):
            network.append(layer())
        else:
            n_out = width if layer == "w" else layer
            network.append(nn.Linear(n, n_out))
            n = n_out
    return nn.Sequential(*network)


def networks_of(phi=("w", nn.ReLU, "w", nn.ReLU), rho=("w", nn.ReLU, 1)):
    """What those write who stack other layers."""
    return lambda n_features, width: (stacked(n_features, phi, width), stacked(width, rho, width))


class Hidden(nn.Module):
    """A network whose layers an optimiser cannot find, unless it is told of them."""

    def __init__(self, sizes, end, kind=list):
        super().__init__()
        self.layers, self.end = kind([nn.Linear(*pair) for pair in itertools.pairwise(sizes)]), end

    def forward(self, x):
        first, second = self.layers
        h = second(F.relu(first(x)))
        return F.relu(h) if self.end else h


def hidden(kind):
    return lambda n_features, width: (
        Hidden((n_features, width, width), True, kind),
        Hidden((width, width, 1), False, kind),
    )


def sharing(n_features, width):
    middle = nn.Linear(width, width)
    phi = nn.Sequential(nn.Linear(n_features, width), nn.ReLU(), middle, nn.ReLU())
    return phi, nn.Sequential(middle, nn.ReLU(), nn.Linear(width, 1))


def changed(change):
    """What those write who change the parameters of right networks."""

    def answer(n_features, width):
        networks = build_networks(n_features, width)
        for parameter in itertools.chain(*(network.parameters() for network in networks)):
            change(parameter)
        return networks

    return answer


def without_bias(n_features, width):
    networks = build_networks(n_features, width)
    for layer in itertools.chain(*networks):
        layer.bias = None
    return networks


@exercise(
    "9.4",
    "the networks for a constituent and for a jet",
    cases=lambda: [(4, 12), (7, 5)],
    observe=parts,
    hints=(
        "nn.Sequential takes layers one after the other: nn.Linear(in, out), nn.ReLU(), ...",
        "phi: Linear(n_features, width), ReLU, Linear(width, width), ReLU. It acts on the last axis alone, so that nothing else has to be said about constituents.",
        "rho: Linear(width, width), ReLU, Linear(width, 1), and nothing behind it.",
    ),
    mistakes={
        "should return two things, phi and rho": lambda *n: build_networks(*n)[0],
        "phi should be a network": lambda *n: tuple(map(list, build_networks(*n))),
        "a BatchNorm mixes": networks_of(phi=("w", nn.LazyBatchNorm1d, nn.ReLU, "w", nn.ReLU)),
        "there is a dropout": networks_of(rho=("w", nn.ReLU, nn.Dropout, 1)),
        "`width` numbers for each constituent are asked of phi.": networks_of(phi=("w", nn.ReLU, 1, nn.ReLU)),
        "rho gives shape (N,), expected (N, 1): a Linear(width, 1) at its end, and nothing behind it.": networks_of(rho=("w", nn.ReLU, 1, lambda: nn.Flatten(0))),
        "rho has two outputs. For two classes one is enough, (N, 1): the logarithm of the odds.": networks_of(rho=("w", nn.ReLU, 2)),
        "The sizes are fixed; they come from n_features and width.": lambda *n: build_networks(4, 12),
        "phi has one layer; two are asked for, each followed by a ReLU.": networks_of(phi=("w", nn.ReLU)),
        "phi has three layers, expected two: count its layers and units again.": networks_of(phi=("w", nn.ReLU) * 3),
        "The layers have no bias; nn.Linear has one unless it is switched off.": without_bias,
        "phi has no parameters that an optimiser could find: a plain list hides its layers. nn.Sequential or nn.ModuleList registers them.": hidden(list),
        "rho is linear: it needs a hidden layer with an activation to draw a window, round a mass say.": networks_of(rho=(1,)),
        "phi and rho share a layer: a step that improves one changes the other. Make each layer anew.": sharing,
        "Two calls return the same networks: each model needs layers of its own. Make them inside the function.": functools.cache(lambda *n: build_networks(*n)),
        "Some parameters have requires_grad=False: no training would move them.": changed(lambda parameter: parameter.requires_grad_(False)),
        "All weights of a layer begin alike, and its units remain alike for ever. nn.Linear begins with random ones.": changed(lambda parameter: nn.init.zeros_(parameter)),
        **{f"phi of a constituent changes with the other {where} in the array. A softmax or a normalisation over {where} does that, and padding would take part in it. phi sees one constituent at a time.": networks_of(phi=("w", nn.ReLU, "w", functools.partial(nn.Softmax, dim))) for where, dim in (("constituents", -2), ("jets", 0))},
        "The outputs of phi add up to one: there is a softmax. phi gives free numbers, not shares.": networks_of(phi=("w", nn.ReLU, "w", lambda: nn.Softmax(-1))),
        "phi is linear: without an activation its layers are one. The sum over constituents is then a function of the summed inputs alone, and nothing inside the jet is seen.": networks_of(phi=("w", "w")),
        "phi bends only once along a line: there is no activation between its two layers, which are one then.": networks_of(phi=("w", "w", nn.ReLU)),
        "phi has two layers, each followed by a ReLU: the second ReLU is missing.": networks_of(phi=("w", nn.ReLU, "w")),
        "phi has another activation: each layer is followed by a ReLU here.": networks_of(phi=("w", nn.Tanh) * 2),
        "phi ends with another activation: each layer is followed by a ReLU here.": networks_of(phi=("w", nn.ReLU, "w", nn.Tanh)),
        "The first layer of phi has another activation: each layer is followed by a ReLU here.": networks_of(phi=("w", nn.Tanh, "w", nn.ReLU)),
        "rho always gives 1: a softmax of a single number. Leave the last layer without an activation.": networks_of(rho=("w", nn.ReLU, 1, lambda: nn.Softmax(-1))),
        "rho ends with an activation: its output is bounded. The loss that we use takes logits, from minus to plus infinity, and applies the sigmoid itself; a sigmoid before it makes two.": networks_of(rho=("w", nn.ReLU, 1, nn.Sigmoid)),
        "rho ends with a Tanh: its output is bounded. The loss that we use takes logits, from minus to plus infinity.": networks_of(rho=("w", nn.ReLU, 1, nn.Tanh)),
        "rho ends with a ReLU: it can never say that a jet is less likely a top than not.": networks_of(rho=("w", nn.ReLU, 1, nn.ReLU)),
        "rho has no activation between its two layers, which are one then, and linear: it could not draw a window, round a mass say.": networks_of(rho=("w", 1)),
        "The hidden layer of rho has another activation than a ReLU.": networks_of(rho=("w", nn.Tanh, 1)),
    },
    accepted=[
        hidden(nn.ModuleList),
        changed(
            lambda parameter: nn.init.zeros_(parameter) if parameter.ndim == 1 else nn.init.xavier_normal_(parameter)
        ),
        lambda n_features, width: [
            nn.Sequential(nn.LazyLinear(width), nn.ReLU(), nn.LazyLinear(n), *end)
            for n, end in ((width, [nn.ReLU()]), (1, []))
        ],
    ],
)
def build_networks(n_features, width):
    phi = nn.Sequential(nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    rho = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
    return phi, rho


# --- 9.5 and 9.6 ------------------------------------------------------------------------------------------------------


class SmallSet(nn.Module):
    """A set network that remembers how it was called."""

    def __init__(self, seed, scale, dropout):
        super().__init__()
        self.phi, self.rho, self.dropout = nn.Linear(3, 4), nn.Linear(4, 1), nn.Dropout(dropout)
        self.modes, self.recording = [], []
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -scale / 2, scale / 2, generator=generator)

    def forward(self, x, weights):
        self.modes.append("training" if self.training else "evaluation")
        self.recording.append(torch.is_grad_enabled())
        h = torch.tanh((self.phi(x) * weights[..., None]).sum(dim=1))
        return self.rho(self.dropout(h))


def batch(seed, n):
    """Features and weights of `n` jets, and their labels."""
    rng = np.random.default_rng(seed)
    x, weights, labels = rng.normal(size=(n, 6, 3)), rng.random((n, 6)) < 0.7, rng.random((n, 1)) < 0.4
    x, weights, labels = (torch.tensor(values, dtype=torch.float32) for values in (x, weights, labels))
    return (x, weights), labels


class NotingSGD(torch.optim.SGD):
    """An optimiser that notes what it is asked to do."""

    def __init__(self, model):
        super().__init__(model.parameters(), lr=0.5)
        self.calls = []
        next(model.parameters()).register_hook(lambda _: self.calls.append("backward"))

    def zero_grad(self, set_to_none=True):
        self.calls.append("zero_grad")
        super().zero_grad(set_to_none)

    def step(self, closure=None):
        self.calls.append("step")
        return super().step(closure)


def why_at_rest(calls):
    calls = calls[: len(calls) // 3]  # those of the first of three steps
    if "backward" not in calls:
        return "no gradient has reached them. backward() is missing, or the loss was made a new tensor, which has none."
    if "step" not in calls:
        return "optimiser.step() is missing."
    after = calls[calls.index("backward") :]
    if "zero_grad" in after and after.index("zero_grad") < [*after, "step"].index("step"):
        return "zero_grad() stands between backward() and step(), so that the gradients are gone before they are used."
    if "step" in after:
        return (
            "their gradients are zero. F.cross_entropy is for several classes: the softmax of one number is always 1."
        )
    return "step() comes before backward(), when there are no gradients yet."


def three_steps(step, scale):
    """Do three steps with a small network, and note where they lead; one with a network of very large logits."""
    model = SmallSet(95, scale, dropout=0.0)
    model.eval()  # as the last evaluation left it
    optimiser = NotingSGD(model)
    start = nn.utils.parameters_to_vector(model.parameters()).detach()
    inputs, labels = batch(95, 40)
    one = functools.partial(step, model, optimiser)
    losses = [call(one, inputs, labels, name="training_step") for _ in range(3 if scale == 1 else 1)]
    if not model.modes:
        fail("the model was never called: model(*inputs) gives the logits.")
    if scale > 1:
        return {"the loss of a network that is certain and wrong": losses[0]}
    end = nn.utils.parameters_to_vector(model.parameters()).detach()
    if torch.equal(start, end):
        fail(f"the parameters did not move at all: {why_at_rest(optimiser.calls)}")
    return {
        "the array of parameters after three steps": end.numpy(),
        "the mode of the model": model.modes[0],
        "the loss": losses[0],
    }


def a_number(step, scale):
    """The loss must come without the graph that it was computed with."""
    model = SmallSet(95, scale, dropout=0.0)
    loss = step(model, NotingSGD(model), *batch(95, 40))
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        fail(
            "the loss comes as a tensor, which keeps the whole graph of its computation alive as long as it is stored. loss.item() is the number."
        )
    if not isinstance(loss, float | int | np.number | np.ndarray):
        fail(f"training_step should return the loss as a number, loss.item(); what came is {describe(loss)}.")


BCE = F.binary_cross_entropy_with_logits


def step_with(loss=BCE, order=("zero_grad", "backward", "step"), mode=True, result=torch.Tensor.item):
    """What those write who take another loss, another order, or leave something out."""

    def answer(model, optimiser, inputs, labels):
        model.train(mode)
        value = loss(model(*inputs), labels)
        for what in order:
            value.backward() if what == "backward" else getattr(optimiser, what)()
        return result(value)

    return answer


def step_without_model(model, optimiser, inputs, labels):
    optimiser.step()
    return 0.0


def step_of_the_formula(model, optimiser, inputs, labels):
    optimiser.zero_grad(set_to_none=False)
    logits = model.train()(*inputs)
    loss = torch.mean(F.softplus(logits) - labels * logits)
    loss.backward()
    optimiser.step()
    return loss.detach().numpy()


@exercise(
    "9.5",
    "one step of training",
    cases=lambda: [(1,), (400,)],
    observe=three_steps,
    demands=[a_number],
    tolerance={"rtol": 1e-3, "atol": 1e-5},
    hints=(
        "Five lines: training mode, old gradients to zero, loss, its gradients, a step.",
        "loss = F.binary_cross_entropy_with_logits(model(*inputs), labels), with torch.nn.functional as F.",
        "model.train(); optimiser.zero_grad(); loss = ...; loss.backward(); optimiser.step(); return loss.item()",
    ),
    mistakes={
        "the model was never called": step_without_model,
        "the loss has no gradient": step_with(lambda logits, y: BCE(logits.detach(), y)),
        "backward() is missing": step_with(order=("zero_grad", "step")),
        "optimiser.step() is missing": step_with(order=("zero_grad", "backward")),
        "so that the gradients are gone before they are used": step_with(order=("backward", "zero_grad", "step")),
        "step() comes before backward()": step_with(order=("zero_grad", "step", "backward")),
        "their gradients are zero": step_with(F.cross_entropy),
        "First backward(), then step()": step_with(order=("step", "zero_grad", "backward")),
        "The gradients of the steps before are still there: backward() adds to them. Call optimiser.zero_grad() in each step.": step_with(order=("backward", "step")),
        "A sigmoid stands before a loss that takes logits and applies one itself: 0 and 1 become 0.5 and 0.73, and the network can never be certain. Give it the model's output as it is.":
            step_with(lambda logits, y: BCE(torch.sigmoid(logits), y)),
        "This is the loss summed over the batch. The mean, which is the default, does not change with the batch size.": step_with(functools.partial(BCE, reduction="sum")),
        "This is the squared error of the logits. A label of 1 is no logit: use the cross-entropy.": step_with(F.mse_loss),
        "This is the squared error. Use the cross-entropy, which punishes being certain and wrong.": step_with(lambda logits, y: F.mse_loss(torch.sigmoid(logits), y)),
        "The sign is reversed: this climbs the loss.": step_with(lambda logits, y: -BCE(logits, y)),
        "Two steps are made with one gradient.": step_with(order=("zero_grad", "backward", "step", "step")),
        "Labels are reversed.": step_with(lambda logits, y: BCE(logits, 1 - y)),
        "A sigmoid and then the logarithm: large logits become 0 or 1 exactly, and the gradient is gone. binary_cross_entropy_with_logits does both at once.": step_with(lambda logits, y: F.binary_cross_entropy(torch.sigmoid(logits), y)),
        "The model was in evaluation mode, as the last evaluation had left it: dropout and the like are off. Begin the step with model.train().": step_with(mode=False),
        "keeps the whole graph": step_with(result=lambda loss: loss),
        "should return the loss as a number": step_with(result=torch.Tensor.detach),
        "returned None": step_with(result=lambda loss: None),
    },
    accepted=[
        step_with(nn.BCEWithLogitsLoss(), order=("backward", "step", "zero_grad"), result=float),
        step_of_the_formula,
    ],
)
def training_step(model, optimiser, inputs, labels):
    model.train()
    optimiser.zero_grad()
    loss = F.binary_cross_entropy_with_logits(model(*inputs), labels)
    loss.backward()
    optimiser.step()
    return loss.item()


def after_a_training(function, n):
    """Score `n` jets with a model as a training leaves it, and note in which state it was asked."""
    model = SmallSet(96, 3, dropout=0.5)
    inputs, _ = batch(96, n)
    with torch.random.fork_rng():
        torch.manual_seed(96)
        answer = call(functools.partial(function, model), inputs, name="score")
    if not model.modes:
        fail("the model was never called: model(*inputs) gives the logits.")
    return {
        "the mode of the model": model.modes[-1],
        "the score": answer,
        "the number of parameters with requires_grad=False": sum(not p.requires_grad for p in model.parameters()),
        "whether gradients were recorded": model.recording[-1],
    }


def score_of(change, mode=False, record=torch.no_grad):
    """What those write who make something else of the logits, (N, 1)."""

    def answer(model, inputs):
        model.train(mode)
        with record():
            return change(model(*inputs))

    return answer


def probability(logits):
    return logits.sigmoid()[:, 0].numpy()


def score_without_recording(model, inputs):
    model.eval()
    torch.set_grad_enabled(False)
    return probability(model(*inputs))


def score_of_frozen(model, inputs):
    model.eval()
    model.requires_grad_(False)
    return probability(model(*inputs))


@exercise(
    "9.6",
    "scores in evaluation mode",
    cases=lambda: [(50,), (1,)],
    observe=after_a_training,
    tolerance={"rtol": 1e-4, "atol": 1e-6},
    hints=(
        "Before: model.eval(), which turns dropout off, and with torch.no_grad():, which records nothing.",
        "model(*inputs) are logits, (N, 1); torch.sigmoid makes probabilities of them.",
        "torch.sigmoid(model(*inputs))[:, 0].numpy(), inside the `with` block.",
    ),
    mistakes={
        "the model was never called": lambda model, inputs: inputs[0].mean(dim=(1, 2)).sigmoid().numpy(),
        "The model is still in training mode: dropout switches units off at random, and each call gives other scores. model.eval() first.": score_of(probability, mode=True),
        "they come as a Tensor": score_of(lambda logits: logits.sigmoid()[:, 0]),
        "These are logits; torch.sigmoid makes probabilities of them.": score_of(lambda logits: logits[:, 0].numpy()),
        "This has shape (N, 1); [:, 0] makes it (N,).": score_of(lambda logits: logits.sigmoid().numpy()),
        "This is a softmax of a single number, which is 1 whatever the jet.": score_of(lambda logits: logits.softmax(dim=1)[:, 0].numpy()),
        "This is a softmax of a single number, which is 1 whatever the jet, and of shape (N, 1).": score_of(lambda logits: logits.softmax(dim=1).numpy()),
        "This is a softmax over the jets: it depends on which jets are scored together.": score_of(lambda logits: logits.softmax(dim=0)[:, 0].numpy()),
        "The sigmoid is applied twice.": score_of(lambda logits: logits.sigmoid().sigmoid()[:, 0].numpy()),
        "This is the probability of a QCD jet; the score rises with signal.": score_of(lambda x: probability(-x)),
        "These are answers, 0 or 1; keep the probability.": score_of(lambda logits: probability(logits) > 0.5),
        "squeeze() drops the axis of the jets as well when there is one jet. [:, 0] keeps it.": score_of(lambda logits: logits.sigmoid().squeeze().numpy()),
        "requires_grad_(False) stays after the call, and no later training would move the parameters. `with torch.no_grad():` ends by itself.": score_of_frozen,
        "The scores are right, but gradients were recorded on the way, which takes several times the memory: put the call of the model inside `with torch.no_grad():`.":
            score_of(lambda logits: probability(logits.detach()), record=torch.enable_grad),
        "the output still carries its gradients": score_of(probability, record=torch.enable_grad),
        "gradients stay switched off": score_without_recording,
        "what came is an array of shape (50,) and dtype <U": score_of(lambda logits: probability(logits).astype(str)),
    },
    accepted=[
        score_of(probability, record=torch.inference_mode),
        score_of(lambda logits: (1 / (1 + np.exp(-logits.numpy().astype(float)))).ravel()),
        torch.no_grad()(lambda model, inputs: np.array([float(z.sigmoid()) for z in model.eval()(*inputs)])),
    ],
)
def score(model, inputs):
    model.eval()
    with torch.no_grad():
        return torch.sigmoid(model(*inputs))[:, 0].numpy()


# --- 9.7 --------------------------------------------------------------------------------------------------------------


def packed_jets():
    rng = np.random.default_rng(97)
    h = rng.normal(1.0, 1.0, (10, 3))
    hard = np.concatenate([np.full((500, 2), 4e5), rng.normal(size=(5, 2))])  # later sums drown in a running one
    for latent, counts in ((h, [3, 1, 0, 4, 2]), (h[:3], [2, 0, 1, 0, 0]), (hard, [500, 2, 3])):
        yield torch.tensor(latent, dtype=torch.float32), torch.tensor(counts)


def jet_of(counts):
    return torch.repeat_interleave(torch.arange(len(counts)), counts)


def jet_by_jet(reduce):
    """What those write who reduce the rows of each jet by themselves, in a loop."""
    return lambda h, counts: torch.stack([reduce(rows) for rows in h.split(counts.tolist())])


def to_the_jet_before(h, counts):
    jet = torch.searchsorted(counts.cumsum(0), torch.arange(len(h)))
    return torch.zeros(len(counts), h.shape[1]).index_add(0, jet, h)


def differences_of_a_running_sum(h, counts):
    running = torch.cat([torch.zeros(1, h.shape[1]), h.cumsum(0)])
    end = counts.cumsum(0)
    return running[end] - running[end - counts]


def one_row_each(h, counts):
    result = torch.zeros(len(counts), h.shape[1])
    result[jet_of(counts)] += h
    return result


@exercise(
    "9.7",
    "sums over the constituents of each packed jet",
    cases=packed_jets,
    returns=("the sum",),
    demands=[demands.gradient],
    tolerance={"rtol": 1e-4, "atol": 1e-5},
    hints=(
        "First say for each of the T rows which jet it belongs to: 0 0 0 1 2 2 ... for counts 3, 1, 2.",
        "torch.repeat_interleave(torch.arange(len(counts)), counts) does that.",
        "torch.zeros(len(counts), latent.shape[1]).index_add(0, jet, latent) adds row i to the sum of jet[i].",
    ),
    mistakes={
        "This is the mean; here the sum is asked for.": lambda h, counts: segment_sum(h, counts) / counts.clamp(min=1)[:, None],
        "The last constituent of each jet is dropped.": jet_by_jet(lambda rows: rows[:-1].sum(dim=0)),
        "The first constituent of each jet is dropped.": jet_by_jet(lambda rows: rows[1:].sum(dim=0)),
        "The first constituent of each jet is added to the jet before: `end` belongs to the next jet.": to_the_jet_before,
        "A jet without constituents got the first row of the next one. Its sum is zero.": lambda h, counts: torch.from_numpy(np.add.reduceat(h.numpy(), (counts.cumsum(0) - counts).numpy())),
        "The jet without constituents is left out: there must be a row for each jet.": lambda h, counts: segment_sum(h, counts[counts > 0]),
        "This is the sum over the wrong axis: it adds the L numbers of a constituent.": lambda h, counts: h.sum(dim=1),
        "This is the sum over the wrong axis, of L numbers instead of constituents, jet by jet.": jet_by_jet(torch.sum),
        "Only one constituent of each jet arrives: out[jet] += ... writes to a place that comes twice only once. index_add adds all.": one_row_each,
        "This is one sum over all jets.": lambda h, counts: h.sum(dim=0),
        "These are running sums: the sum of all jets before is still in it.": lambda h, counts: segment_sum(h, counts).cumsum(dim=0),
        "This is the largest entry of each jet, not the sum.": jet_by_jet(lambda rows: rows.amax(dim=0) if len(rows) else 0 * rows.sum(dim=0)),
        "The rows come in the order of the jets reversed.": lambda h, counts: segment_sum(h, counts).flip(0),
        "Jets without constituents at the end are lost: the number of jets is len(counts).": lambda h, counts: segment_sum(h, counts[: int(jet_of(counts).max()) + 1]),
        "Differences of a running sum over all constituents lose digits: in float32 the sums of later jets drown in those before them. Add each jet by itself.": differences_of_a_running_sum,
        "has no gradient any more": lambda h, counts: segment_sum(h.detach(), counts),
        "a new tensor made of its values cut the chain": lambda h, counts: torch.tensor(segment_sum(h, counts).tolist(), requires_grad=True),
    },
    accepted=[
        jet_by_jet(lambda rows: rows.sum(dim=0)),
        lambda h, counts: (jet_of(counts) == torch.arange(len(counts))[:, None]).float() @ h,
        lambda h, counts: torch.zeros(len(counts), h.shape[1], dtype=torch.float64).scatter_add(
            0, jet_of(counts)[:, None].expand(h.shape), h.double()
        ),
    ],
)
def segment_sum(latent, counts):
    jet = torch.repeat_interleave(torch.arange(len(counts)), counts)  # (T,): 0 0 0 1 2 2 for counts 3, 1, 2
    return torch.zeros(len(counts), latent.shape[1]).index_add(0, jet, latent)


# --- 9.8 --------------------------------------------------------------------------------------------------------------


def histories():
    """A training as it grows, the longest first, so that an answer that remembers earlier calls is wrong."""
    rng = np.random.default_rng(98)
    val_loss = [0.60, 0.45, 0.47, 0.44, 0.46, 0.43, 0.42, 0.425, 0.41, 0.42, 0.43, 0.428, 0.44, 0.45, 0.46]
    loss = list(np.linspace(0.62, 0.2, len(val_loss)) + rng.uniform(0, 0.01, len(val_loss)))
    loss[6] = 0.5  # the rule on the training loss would differ in its best epoch as well
    loss[11:] = [loss[10] + 0.01] * 4  # and stop at last
    for patience in (2, 3, 4, 1):
        for n in range(len(val_loss), 0, -1):
            yield {"loss": loss[:n], "val_loss": val_loss[:n]}, patience


def told(rule, history, patience):
    """Return both answers, named by the history and the patience that they belong to."""
    answer = call(rule, history, patience, name="best_and_stop")
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        fail(f"best_and_stop should return two things, an epoch and True or False; what came is {describe(answer)}.")
    best, stop = answer
    if isinstance(best, bool) or not isinstance(best, int | np.integer):
        fail(f"the first answer should be the number of an epoch, counted from 0; what came is {describe(best)}.")
    after = f"after the validation losses {history['val_loss']} with patience {patience}"
    return {f"the best epoch {after}": best, f"the answer whether to stop {after}": stop}


def lowest(history, key="val_loss"):
    return int(np.argmin(history[key]))


def since_best(history, key="val_loss"):
    return len(history[key]) - 1 - lowest(history, key)


def rises_in_a_row(history):
    return len(list(itertools.takewhile(bool, np.diff(history["val_loss"])[::-1] > 0)))


def all_without_improvement(history):
    losses = np.array(history["val_loss"])
    return np.sum(losses[1:] >= np.minimum.accumulate(losses)[:-1])


def rule(best=lowest, waited=since_best, late=0):
    """What those write who keep another epoch, or count something else."""
    return lambda history, patience: (best(history), bool(waited(history) >= patience + late))


def up_to_the_stop(history, patience):
    best = 0
    for epoch, loss in enumerate(history["val_loss"]):
        if loss < history["val_loss"][best]:
            best = epoch
        if epoch - best >= patience:
            return best, True
    return best, False


def remembering(history, patience, seen={"best": 0, "waited": 0}):  # noqa: B006 - the mistake
    losses = history["val_loss"]
    if losses[-1] <= min(losses):
        seen.update(best=len(losses) - 1, waited=0)
    else:
        seen["waited"] += 1
    return seen["best"], seen["waited"] >= patience


@exercise(
    "9.8",
    "when to stop, and which epoch to keep",
    cases=histories,
    observe=told,
    hints=(
        'The best epoch is the one of lowest history["val_loss"]: np.argmin.',
        "Epochs since then: len(history['val_loss']) - 1 - best.",
        "Stop when that number has reached patience.",
    ),
    mistakes={
        "This watches the training loss, which falls as long as the network learns its jets by heart. It says stop too late or never. Watch the validation loss.": rule(lambda h: lowest(h, "loss"), lambda h: since_best(h, "loss")),
        "The stop watches the training loss, which goes on falling. Watch the validation loss.": rule(waited=lambda h: since_best(h, "loss")),
        "The best epoch is that of the lowest training loss. Keep the one of the lowest validation loss.": rule(best=lambda h: lowest(h, "loss")),
        "The best epoch is not the last one: that is the one where patience ran out.": rule(best=lambda h: len(h["val_loss"]) - 1),
        "Epochs are counted from 0 here, as the entries of a list are.": rule(best=lambda h: lowest(h) + 1),
        "This is the epoch of the highest validation loss: a loss is good when it is low.": rule(best=lambda h: int(np.argmax(h["val_loss"]))),
        "Patience is not used: this stops at the first epoch without improvement. A validation loss jumps up and down by chance.": lambda history, patience: (lowest(history), since_best(history) > 0),
        "Each epoch is compared with the one before. A loss that jumps up and down never rises several times in a row: count the epochs since the best one.": rule(waited=rises_in_a_row),
        "This counts all epochs without improvement. A new best epoch sets the count back to zero.": rule(waited=all_without_improvement),
        "This stops one epoch too late: when `patience` epochs have gone without improvement.": rule(late=1),
        "This stops one epoch too early: after `patience` epochs without improvement.": rule(late=-1),
        "This never stops.": lambda history, patience: (lowest(history), False),
        "The two answers to the second question are exchanged: True means stop.": lambda history, patience: (lowest(history), since_best(history) < patience),
        "The best epoch is that of the whole history, even if the rule would have stopped earlier.": up_to_the_stop,
        "The answer depends on earlier calls: use the history alone.": remembering,
        "should return two things": lambda history, patience: lowest(history),
        "the first answer should be the number of an epoch": rule(best=lambda h: float(lowest(h))),
        "The second answer is True or False, not the number of epochs since the best one.": lambda history, patience: (lowest(history), since_best(history)),
    },
    accepted=[
        lambda history, patience: (
            np.argmin(history["val_loss"]),
            np.bool_(len(history["val_loss"]) > np.argmin(history["val_loss"]) + patience),
        ),
        lambda history, patience: [
            history["val_loss"].index(min(history["val_loss"])),
            not any(loss == min(history["val_loss"]) for loss in history["val_loss"][-patience:]),
        ],
    ],
)
def best_and_stop(history, patience):
    best = int(np.argmin(history["val_loss"]))
    return best, len(history["val_loss"]) - 1 - best >= patience


# --- 9.9 --------------------------------------------------------------------------------------------------------------


def massive_constituents():
    rng = np.random.default_rng(99)
    counts = np.array([3, 1, 5, 2])
    pt = np.concatenate([np.sort(rng.uniform(5, 100, n))[::-1] for n in counts])
    eta, phi = rng.normal(0, 0.3, len(pt)), rng.uniform(-3, 3, len(pt))
    energy = np.hypot(pt * np.cosh(eta), 3)
    yield np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], axis=1), counts, 0.3


def halves(one, two):
    """What those write who make the two parts otherwise: functions of the hardest momenta (N, 4) and the share."""

    def answer(momenta, counts, share):
        split, more = split_hardest(momenta, counts, share)
        first = np.cumsum(counts) - counts
        new = first + np.arange(len(counts))
        split[new], split[new + 1] = one(momenta[first], share), two(momenta[first], share)
        return split, more

    return answer


def massless(h):
    return np.column_stack([h[:, :3], np.linalg.norm(h[:, :3], axis=1)])


def energy_times(h, factor):
    return h * np.array([1, 1, 1, factor])


def three_times(h, factor):
    return h * np.array([factor, factor, factor, 1])


def at_the_end(momenta, counts, share):
    first = np.cumsum(counts) - counts
    changed = momenta.copy()
    changed[first] *= 1 - share
    return np.concatenate([changed, share * momenta[first]]), counts + 1


def rows_split(rows):
    """What those write who split other rows than the first of each jet."""

    def answer(momenta, counts, share):
        chosen = rows(momenta, counts)
        split = np.insert(momenta, chosen, share * momenta[chosen], axis=0)
        split[chosen + np.arange(len(chosen)) + 1] *= 1 - share
        return split, counts + 1

    return answer


def split_jet_by_jet(momenta, counts, share):
    rows, end = [], 0
    for n in counts:
        first, rest = momenta[end], momenta[end + 1 : end + n]
        rows += [share * first, (1 - share) * first, *rest]
        end += n
    return np.array(rows), [n + 1 for n in counts]


def split_by_repeating(momenta, counts, share):
    times = np.ones(len(momenta), int)
    first = np.cumsum(counts) - counts
    times[first] = 2
    split = np.repeat(momenta, times, axis=0)
    new = first + np.arange(len(counts))
    split[new] *= share
    split[new + 1] *= 1 - share
    return split, counts + 1


@exercise(
    "9.9",
    "the hardest constituent of each jet split in two",
    cases=massive_constituents,
    returns=("the array of momenta", "the array of counts"),
    accept=(list,),
    hints=(
        "The hardest constituent of each jet is its first one, at the rows np.cumsum(counts) - counts.",
        "np.insert(momenta, first, new_rows, axis=0) puts new rows before those rows.",
        "Behind the insertion the k-th of the old ones stands at first[k] + k + 1: multiply it by 1 - share.",
    ),
    mistakes={
        "Packed rows are wanted, one array (T + N, 4); a list of jets came. np.concatenate makes one of it.": lambda momenta, counts, share: (np.split(split_hardest(momenta, counts, share)[0], np.cumsum(counts + 1)[:-1]), counts + 1),
        "The new rows stand at the end of the array. Packed, they then belong to the last jet: insert them beside their partner.": at_the_end,
        "Both parts carry the whole momentum: the jet got heavier. One gets the share, the other the rest.": halves(lambda h, share: h, lambda h, share: h),
        "Both parts get the same share: momentum is lost or made. The second gets 1 - share.": halves(lambda h, share: share * h, lambda h, share: share * h),
        "The first part gets the share, the second still has everything: momentum is made.": halves(lambda h, share: share * h, lambda h, share: h),
        "Only the energy is divided. All four components are, or the parts get a mass and another direction.": halves(energy_times, lambda h, share: energy_times(h, 1 - share)),
        "The energies of the parts are their |p|: constituents can have a mass. Each part gets its share of E, too.": halves(lambda h, share: massless(share * h), lambda h, share: massless((1 - share) * h)),
        "Three components are divided, and both parts have the whole energy. It is shared as well.": halves(three_times, lambda h, share: three_times(h, 1 - share)),
        "The second part was taken from the row that had already become smaller: it gets 1 - share of the parent.": halves(lambda h, share: share * h, lambda h, share: (1 - share) * share * h),
        "Both parts are halves, whatever the share.": halves(lambda h, share: h / 2, lambda h, share: h / 2),
        "The softest constituent of each jet was split. The hardest is the first.": rows_split(lambda momenta, counts: np.cumsum(counts) - 1),
        "Only one jet was split: the hardest constituent of each jet is meant.": rows_split(lambda momenta, counts: np.array([0])),
        "All constituents were split; only the hardest of each jet is meant.": rows_split(lambda momenta, counts: np.arange(len(momenta))),
        "Nothing was split.": lambda momenta, counts, share: (momenta, counts),
        "The counts are the old ones: each jet has one constituent more, and all that follow would be read from the wrong rows.": lambda *jets: (split_hardest(*jets)[0], jets[1]),
        "The counts are doubled; one constituent was added to each jet.": lambda *jets: (split_hardest(*jets)[0], 2 * jets[1]),
        "Each jet gets one constituent more, not all of them.": lambda *jets: (split_hardest(*jets)[0], jets[1] + len(jets[1])),
        "the array of momenta and the array of counts": lambda *jets: split_hardest(*jets)[0],
    },
    # Which of the two stands first is a matter of taste.
    alternatives=[halves(lambda h, share: (1 - share) * h, lambda h, share: share * h)],
    accepted=[
        split_jet_by_jet,
        split_by_repeating,
    ],
)
def split_hardest(momenta, counts, share):
    first = np.cumsum(counts) - counts  # the row of the hardest constituent of each jet
    split = np.insert(momenta, first, share * momenta[first], axis=0)
    split[first + np.arange(len(counts)) + 1] *= 1 - share  # the parents, each moved down by the rows inserted so far
    return split, counts + 1


# --- 9.10 -------------------------------------------------------------------------------------------------------------


def trainings():
    rng = np.random.default_rng(910)
    labels = np.repeat([0, 1], 150)
    common = labels + rng.normal(0, 0.7, 300)  # what all trainings have learned
    quality = (0.6, 1.3, 0.2, 0.4)  # trainings that differ much, so that every mistake shows
    yield labels, np.stack([common + rng.normal(0, q, 300) for q in quality])


def mean_with(error):
    """What those write who have the mean, and make the error otherwise: of the AUCs, their errors, and S."""

    def answer(labels, scores):
        values, errors = np.array([auc(labels, s) for s in scores]).T
        return values.mean(), error(values, errors, len(values))

    return answer


def spread(values):
    return values.std(ddof=1)


@exercise(
    "9.10",
    "an AUC with the errors of seeds and of counting",
    cases=trainings,
    returns=("the mean AUC", "its error"),
    hints=(
        "auc(labels, s) gives value and error of one training; take both for each row of scores.",
        "Seeds: np.std(values, ddof=1) / sqrt(S). Counting: the mean of the errors, because all trainings meet the same test jets.",
        "np.hypot adds the two in quadrature.",
    ),
    mistakes={
        "This is one seed alone, with the error of counting. Another seed gives another network: without their spread the number looks more certain than it is.": lambda labels, scores: auc(labels, scores[0]),
        "This is the mean, but the error is that of one training: what the seed does is missing.": mean_with(lambda values, errors, n: errors[0]),
        "The best seed was chosen, on the test jets. That is a fit to them, not a result.": lambda labels, scores: max(auc(labels, s) for s in scores),
        "The error of counting is missing: with other test jets all trainings would move together.": mean_with(lambda values, errors, n: spread(values) / np.sqrt(n)),
        "The error of counting is missing, and the spread of the trainings is not divided by the square root of their number.": mean_with(lambda values, errors, n: spread(values)),
        "The spread of the seeds is missing.": mean_with(lambda values, errors, n: errors.mean()),
        "The error of counting was divided by the square root of the number of trainings. All met the same jets, and their fluctuation does not average out.":
            mean_with(lambda values, errors, n: np.hypot(spread(values), errors.mean()) / np.sqrt(n)),
        "The spread of the trainings is not divided by the square root of their number: that is the error of one of them, not of their mean.": mean_with(lambda values, errors, n: np.hypot(spread(values), errors.mean())),
        "The spread of the trainings is divided by their number; divide by its square root.": mean_with(lambda values, errors, n: np.hypot(spread(values) / n, errors.mean())),
        "The square root of the sum of squares is missing: np.hypot.": mean_with(lambda values, errors, n: spread(values) ** 2 / n + errors.mean() ** 2),
        "The spread needs ddof=1: with few trainings the mean lies too close to them.": mean_with(lambda values, errors, n: np.hypot(values.std() / np.sqrt(n), errors.mean())),
        "The two errors were added. Independent errors add in quadrature: np.hypot.": mean_with(lambda values, errors, n: spread(values) / np.sqrt(n) + errors.mean()),
        "The scores were averaged before the AUC. That is another tagger, an ensemble of all trainings, and a better one than each.": lambda labels, scores: auc(labels, np.mean(scores, axis=0)),
        "The two are exchanged: first the mean, then its error.": lambda *given: mean_auc(*given)[::-1],
        "the mean AUC should be": lambda *given: [f"{value:.6f}" for value in mean_auc(*given)],
    },
    accepted=[
        mean_with(lambda values, errors, n: (values.var(ddof=1) / n + errors.mean() ** 2) ** 0.5),
        lambda *given: np.array(mean_auc(*given)),
        lambda labels, scores: type(auc(labels, scores[0]))(*map(float, mean_auc(labels, scores))),
    ],
)
def mean_auc(labels, scores):
    areas = [auc(labels, s) for s in scores]
    values = np.array([area.value for area in areas])
    of_seeds = values.std(ddof=1) / np.sqrt(len(values))
    of_counting = np.mean([area.error for area in areas])
    return values.mean(), np.hypot(of_seeds, of_counting)
