"""The GAN of jets: a set stays a set, what every jet fulfils is fulfilled, the penalty is the one computed by hand."""

import importlib
import subprocess
import sys

import awkward as ak
import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from coursekit.nets.deepsets import pool  # noqa: E402
from coursekit.nets.gan import ANGLE, Critic, Generator, from_points, gradient_penalty, to_points  # noqa: E402

COUNTS = torch.tensor([5, 0, 1, 120, 17])
N_ROWS = int(COUNTS.sum())


def seeded(seed=2):
    return torch.Generator().manual_seed(seed)


def build(kind, **sizes):
    torch.manual_seed(1)
    return kind(**({"width": 12} | sizes)).double()


def noise(generator, counts=COUNTS, size=1.0, seed=2):
    """Random numbers for jets and for their constituents."""
    rng, n_rows = seeded(seed), int(counts.sum())
    of_jets = torch.randn(len(counts), generator.n_noise, dtype=torch.float64, generator=rng)
    return of_jets, size * torch.randn(n_rows, generator.n_point_noise, dtype=torch.float64, generator=rng)


def points(seed=2, counts=COUNTS):
    return torch.randn(int(counts.sum()), 3, dtype=torch.float64, generator=seeded(seed))


def shuffled_in_jets(counts=COUNTS, seed=3):
    """Return row numbers that shuffle the constituents inside each jet."""
    rng, first = np.random.default_rng(seed), 0
    parts = []
    for n in counts.tolist():
        parts.append(first + rng.permutation(n))
        first += n
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


def row_norms(weights, counts):
    """The norm of the gradient of a critic that is linear with these weights (3,): one and the same for every row."""
    return weights.norm() * counts.sqrt()


# --- points -----------------------------------------------------------------------------------------------------------


def test_points_and_back():
    rng = np.random.default_rng(1)
    z, eta, phi = rng.uniform(1e-6, 1, 50), rng.normal(0, 0.3, 50), rng.normal(0, 0.3, 50)
    made = to_points(z, eta, phi)
    assert made.shape == (50, 3)
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made[:, 1].numpy(), eta / ANGLE, rtol=1e-6)
    for back, column in zip(from_points(made), (z, eta, phi), strict=True):
        np.testing.assert_allclose(back.numpy(), column, rtol=2e-6)


@pytest.mark.parametrize("share", [0.0, -0.1, np.nan])
def test_a_share_that_has_no_logarithm_is_refused(share):
    with pytest.raises(ValueError, match="1 of 2 shares z are zero, negative or NaN"):
        to_points([0.5, share], [0.0, 0.0], [0.0, 0.0])


# --- generator --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_every_jet_has_positive_shares_that_add_up_to_one_round_the_origin(size):
    generator = build(Generator)
    made = generator(*noise(generator, size=size), COUNTS)
    assert made.shape == (N_ROWS, 3)
    z, eta, phi = from_points(made)
    assert np.isfinite(made.detach().numpy()).all()
    assert (z >= 0).all()
    if size == 1.0:  # noise a thousand times too large leaves all the pT to one constituent, and no NaN
        assert (z > 0).all()
    some = COUNTS > 0
    for column, expected in ((torch.ones_like(z), 1.0), (eta, 0.0), (phi, 0.0)):
        sums = pool((z * column)[:, None], COUNTS)[some]
        np.testing.assert_allclose(sums.numpy(), expected, atol=1e-9 * size)


def test_another_order_of_the_noise_is_another_order_of_the_points():
    generator, order = build(Generator), shuffled_in_jets()
    of_jets, of_points = noise(generator)
    np.testing.assert_allclose(
        generator(of_jets, of_points[order], COUNTS).detach(),
        generator(of_jets, of_points, COUNTS)[order].detach(),
        rtol=1e-9,
        atol=1e-12,
    )


def test_a_generated_jet_does_not_depend_on_its_batch():
    generator = build(Generator)
    of_jets, of_points = noise(generator)
    together = generator(of_jets, of_points, COUNTS)[-17:]
    alone = generator(of_jets[-1:], of_points[-17:], COUNTS[-1:])
    np.testing.assert_allclose(alone.detach(), together.detach(), rtol=1e-9, atol=1e-12)


def test_constituents_of_a_jet_know_of_each_other():
    generator = build(Generator)
    of_jets, of_points = noise(generator)
    other = of_points.clone()
    other[0, 3:] += 1.0  # not where it starts: the pT shares of the others would change by the normalisation alone
    angles = [generator.last(generator.third(*_context(generator, of_jets, x), COUNTS)) for x in (of_points, other)]
    changed = (angles[0] != angles[1]).any(dim=1)
    assert changed[:5].all()
    assert not changed[5:].any()


def _context(generator, of_jets, of_points):
    """Rows and jets as the last layers of the generator see them."""
    jet = generator.jet(torch.cat([of_jets, (COUNTS[:, None] - 30.0) / 20.0], dim=1))
    rows = generator.second(generator.first(of_points, jet, COUNTS))
    return rows, generator.context(torch.cat([jet, pool(rows, COUNTS, "mean")], dim=1))


def test_a_seed_fixes_the_jets_and_another_makes_others():
    generator = build(Generator).float()
    first, again, other = (generator.sample(COUNTS, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).all(dim=1)[:5].any()


def test_numbers_of_a_jet_and_of_its_constituents_both_matter():
    generator = build(Generator)
    of_jets, of_points = noise(generator)
    made = generator(of_jets, of_points, COUNTS)
    for changed in ((of_jets + 1, of_points), (of_jets, of_points + torch.arange(8.0))):
        assert not torch.allclose(generator(*changed, COUNTS), made)


# --- critic -----------------------------------------------------------------------------------------------------------


def test_the_critic_does_not_see_the_order_of_constituents():
    critic, x = build(Critic), points()
    judged = critic(x, COUNTS)
    assert judged.shape == (5,)
    np.testing.assert_allclose(critic(x[shuffled_in_jets()], COUNTS).detach(), judged.detach(), rtol=1e-9)


def test_the_critic_judges_each_jet_by_itself():
    critic, x = build(Critic), points()
    np.testing.assert_allclose(critic(x[-17:], COUNTS[-1:]).detach(), critic(x, COUNTS)[-1:].detach(), rtol=1e-9)


def test_the_critic_is_what_numpy_computes():
    critic, x, counts = build(Critic), points(counts=torch.tensor([2, 3])), torch.tensor([2, 3])
    weights = [parameter.detach().numpy() for parameter in critic.parameters()]

    def layers(values, weights, last):
        for w, b in zip(weights[::2], weights[1::2], strict=True):
            values = values @ w.T + b
            values = values if w is weights[-2] and last else np.maximum(values, 0)
        return values

    expected = []
    for jet in (x[:2].numpy(), x[2:].numpy()):
        rows = layers(jet + np.array([4.0, 0.0, 0.0]), weights[:4], last=False)
        sums = np.concatenate([rows.sum(axis=0) / 30, np.exp(jet[:, 0]) @ rows, [(len(jet) - 30) / 20]])
        expected.append(layers(sums[None], weights[4:], last=True)[0, 0])
    np.testing.assert_allclose(critic(x, counts).detach(), expected, rtol=1e-6)  # the count enters in float32


# --- gradient penalty -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_the_penalty_of_a_linear_critic_by_hand(seed):
    weights = torch.randn(3, dtype=torch.float64, generator=seeded(seed)).requires_grad_()
    mix = torch.rand(len(COUNTS), dtype=torch.float64, generator=seeded())

    def linear(x, counts):
        return pool(x, counts) @ weights

    penalty = gradient_penalty(linear, points(3), points(4), COUNTS, mix)
    norms = row_norms(weights.detach(), COUNTS)
    assert penalty.item() == pytest.approx(((norms - 1) ** 2).mean().item(), rel=1e-5)
    penalty.backward()  # d/dw of the mean of (|w| sqrt(n) - 1)^2
    slope = (2 * (norms - 1) * COUNTS.sqrt()).mean() * weights.detach() / weights.detach().norm()
    np.testing.assert_allclose(weights.grad, slope, rtol=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.25, 1.0])
def test_the_penalty_is_taken_between_true_and_generated_points(epsilon):
    real, fake, counts = points(3, COUNTS), points(4, COUNTS), COUNTS

    def parabola(x, counts):  # its gradient is x itself
        return pool(x.square() / 2, counts).sum(dim=1)

    mix = torch.full((len(counts),), epsilon, dtype=torch.float64)
    between = (epsilon * real + (1 - epsilon) * fake).split(counts.tolist())
    expected = np.mean([(jet.norm().item() - 1) ** 2 for jet in between])
    assert gradient_penalty(parabola, real, fake, counts, mix).item() == pytest.approx(expected, rel=1e-5)


def test_each_jet_has_its_own_mix():
    counts, mix = torch.tensor([1, 1]), torch.tensor([0.0, 1.0], dtype=torch.float64)
    real, fake = torch.full((2, 3), 2.0).double(), torch.zeros(2, 3).double()

    def parabola(x, counts):
        return pool(x.square() / 2, counts).sum(dim=1)

    expected = (1 + (np.sqrt(12) - 1) ** 2) / 2
    assert gradient_penalty(parabola, real, fake, counts, mix).item() == pytest.approx(expected, rel=1e-5)


def test_a_flat_critic_gets_the_full_penalty_and_no_nan():
    weight = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    mix = torch.full((len(COUNTS),), 0.5, dtype=torch.float64)
    penalty = gradient_penalty(lambda x, counts: pool(x, counts) @ weight, points(3), points(4), COUNTS, mix)
    penalty.backward()
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(weight.grad).all()


def test_the_penalty_of_the_critic_against_finite_differences():
    critic, counts = build(Critic), torch.tensor([4, 7])
    mix = torch.tensor([0.3, 0.8], dtype=torch.float64)
    real, fake = points(3, counts), points(4, counts)
    weight = critic.rho[0].weight

    def value():
        return gradient_penalty(critic, real, fake, counts, mix)

    (slope,) = torch.autograd.grad(value(), weight)
    place = np.unravel_index(int(slope.abs().argmax()), slope.shape)
    step, ends = 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            weight[place] += sign * step
        ends.append(value().item())
        with torch.no_grad():
            weight[place] -= sign * step
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope[place].item(), rel=1e-4)


def test_the_generator_learns_nothing_from_the_penalty():
    generator, critic = build(Generator), build(Critic)
    made = generator(*noise(generator), COUNTS)
    mix = torch.full((len(COUNTS),), 0.5, dtype=torch.float64)
    gradient_penalty(critic, points(), made, COUNTS, mix).backward()
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert critic.phi[0].weight.grad.abs().sum() > 0


# --- the game ---------------------------------------------------------------------------------------------------------


def test_each_player_can_win():
    counts = torch.full((32,), 6)
    generator, critic = build(Generator).float(), build(Critic).float()
    real = 0.1 * points(7, counts).float()  # narrow jets whose constituents share the pT equally
    real[:, 0] = -np.log(6)
    fixed = generator.sample(counts, seeded()).detach()

    def gap(fake):
        return critic(real, counts).mean() - critic(fake, counts).mean()

    before = gap(fixed).item()
    optimiser = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(40):
        mix = torch.rand(32, generator=seeded())
        loss = -gap(fixed) + 10 * gradient_penalty(critic, real, fixed, counts, mix)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert gap(fixed).item() > before + 0.5

    before = gap(generator.sample(counts, seeded())).item()
    optimiser = torch.optim.Adam(generator.parameters(), 1e-2)
    for _ in range(40):
        loss = -critic(generator.sample(counts, seeded()), counts).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert gap(generator.sample(counts, seeded())).item() < before - 0.5


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        (Generator, {"width": 0}, "got 0, 16 and 8"),
        (Generator, {"n_noise": 0}, "width and n_noise of at least 1"),
        (Generator, {"n_point_noise": 2}, "n_point_noise of at least 3, got 12, 16 and 2"),
        (Critic, {"width": 0}, "width of at least 1, got 0"),
    ],
)
def test_wrong_sizes_are_refused(kind, sizes, message):
    with pytest.raises(ValueError, match=message):
        build(kind, **sizes)


@pytest.mark.parametrize(
    ("noise_shape", "rows_shape", "message"),
    [
        ((2, 15), (5, 8), r"expected noise \(2, 16\) .* got \(2, 15\)"),
        ((3, 16), (5, 8), r"got \(3, 16\)"),
        ((2, 16), (5, 7), r"point_noise \(T, 8\), got \(2, 16\) and \(5, 7\)"),
        ((2, 16), (4, 8), r"add up to the 4 rows; got shape \(2,\), sum 5"),
    ],
)
def test_noise_that_does_not_fit_is_refused(noise_shape, rows_shape, message):
    with pytest.raises(ValueError, match=message):
        Generator(width=4)(torch.zeros(noise_shape), torch.zeros(rows_shape), torch.tensor([2, 3]))


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.astype(">f8"),
        lambda x: x[::-1].copy()[::-1],
        lambda x: pd.Series(x, index=[2, 1, 0]),
        lambda x: ak.Array(x),
        lambda x: x.tolist(),
        lambda x: torch.tensor(x),
    ],
)
def test_points_are_made_of_arrays_of_any_origin(form):
    z, eta, phi = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, -0.55]), np.zeros(3)
    assert torch.equal(to_points(form(z), form(eta), form(phi)), to_points(z, eta, phi))


@pytest.mark.parametrize(
    ("z", "eta", "message"),
    [
        (np.ma.array([0.5, 0.5], mask=[False, True]), [0.0, 0.0], "z is missing in 1 of 2"),
        ([0.5, 0.5], [0.0, np.nan], "1 of 2 values of eta are NaN or infinite"),
        ([0.5, 0.5], [0.0], r"of one length, .* got \[\(2,\), \(1,\), \(2,\)\]"),
        (["a", "b"], [0.0, 0.0], "expected z as an array of numbers"),
    ],
)
def test_points_of_what_is_no_number_are_refused(z, eta, message):
    with pytest.raises(ValueError, match=message):
        to_points(z, eta, [0.0, 0.0])


def test_networks_in_double_precision_take_what_there_is():
    counts, noise = torch.tensor([2, 3]), torch.Generator().manual_seed(1)
    expected = Generator(width=4)
    points = expected.sample(counts, noise)
    critic = Critic(width=4)
    scores = critic(points, counts)
    torch.testing.assert_close(critic.double()(points, counts).float(), scores)
    double = expected.double().sample(counts, noise.manual_seed(1))
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), points, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "counts", "message"),
    [
        ((5, 4), [2, 3], r"expected points \(T, 3\), got \(5, 4\)"),
        ((2, 3, 3), [3, 3], r"got \(2, 3, 3\)"),
        ((5, 3), [2, 2], "add up to the 5 rows; .* sum 4"),
    ],
)
def test_points_that_do_not_fit_are_refused(shape, counts, message):
    with pytest.raises(ValueError, match=message):
        Critic(width=4)(torch.zeros(shape), torch.tensor(counts))


@pytest.mark.parametrize(("fake", "mix"), [(torch.zeros(4, 3), torch.rand(2)), (torch.zeros(5, 3), torch.rand(5, 1))])
def test_a_penalty_of_what_does_not_match_is_refused(fake, mix):
    with pytest.raises(ValueError, match="expected real and fake of one shape and a mix for each jet"):
        gradient_penalty(Critic(width=4), torch.zeros(5, 3), fake, torch.tensor([2, 3]), mix)


def test_a_missing_torch_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # what `import torch` finds where it is not installed
    monkeypatch.delitem(sys.modules, "coursekit.nets.gan")
    with pytest.raises(ImportError, match=r'need PyTorch: pip install "coursekit\[torch\]"'):
        importlib.import_module("coursekit.nets.gan")


def test_the_networks_load_nothing_else_of_the_course():
    code = "import sys, coursekit.nets.gan; print(*(m for m in sys.modules if m.startswith('coursekit.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    loaded = set(done.stdout.split()) - {"coursekit.threads", "coursekit.surroundings"}  # of `import coursekit`
    own = {f"coursekit.nets.{name}" for name in ("deepsets", "gan", "groups")}
    assert loaded == {"coursekit.arrays", "coursekit.nets"} | own
