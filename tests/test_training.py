"""The training loop: the same twice, the same after an interruption, the best weights kept, mistakes refused."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coursekit import training as module  # noqa: E402
from coursekit.jets.packed import PackedJets  # noqa: E402
from coursekit.nets.deepsets import DeepSets, EnergyFlow  # noqa: E402
from coursekit.training import one_cycle, pick_device, predict, rotate_and_flip, train  # noqa: E402

mse = torch.nn.functional.mse_loss


def make_jets(n=200, seed=1):
    """Two classes that differ in the spread of their constituents; every tenth jet is empty."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    counts = torch.randint(1, 30, (n,), generator=generator)
    counts[::10] = 0
    spread = torch.repeat_interleave(0.5 + 0.3 * labels, counts)[:, None]
    return PackedJets(torch.randn(int(counts.sum()), 3, generator=generator) * spread, counts, labels)


def build(dropout=0.0, n_outputs=1, seed=1):
    torch.manual_seed(seed)
    net = DeepSets(3, phi=(8,), latent=8, rho=(8,), n_outputs=n_outputs)
    net.rho.insert(0, torch.nn.Dropout(dropout))
    return net


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


def weights(model):
    return torch.cat([p.detach().ravel() for p in model.parameters()])


def trained(epochs=3, model=None, jets=None, validation=None, **settings):
    model = build() if model is None else model
    jets = make_jets() if jets is None else jets
    validation = make_jets(seed=2) if validation is None else validation
    history = train(model, jets, validation, epochs=epochs, **({"generator": generator(), "batch_size": 64} | settings))
    return model, history


def with_targets(values):
    jets = make_jets()
    jets.targets = torch.as_tensor(values, dtype=torch.float32).reshape(200, -1)
    return jets


# --- the loop ---------------------------------------------------------------------------------------------------------


def test_it_learns():
    model, history = trained(jets=make_jets(1000), epochs=10, learning_rate=1e-2)
    assert history["val_loss"][-1] < 0.6 * math.log(2)  # that of guessing
    test = make_jets(seed=3)
    right = (predict(model, test) > 0) == (test.targets.numpy() == 1)
    assert right[test.counts > 5].mean() > 0.9


def test_it_does_what_a_bare_loop_does():
    jets, order = make_jets(), torch.randperm(200, generator=generator())
    model, history = trained(epochs=1, schedule="constant", learning_rate=1e-3, weight_decay=0.1)
    bare = build()
    optimizer = torch.optim.AdamW(bare.parameters(), 1e-3, weight_decay=0.1)
    total = 0.0
    for index in order.split(64):
        x, counts, targets = jets.batch(index)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(bare(x, counts), targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
        optimizer.step()
        total += loss.item() * len(index) / 200
    torch.testing.assert_close(weights(model), weights(bare))
    assert history["loss"] == pytest.approx([total])


@pytest.mark.parametrize("at_once", [1, 10, 64])
def test_the_parts_of_a_batch_add_up_to_it(monkeypatch, at_once):
    expected, history = trained()
    monkeypatch.setattr(module, "_CPU_JETS", at_once)
    model, same = trained()
    torch.testing.assert_close(weights(model), weights(expected), rtol=1e-3, atol=1e-5)
    assert same["loss"] == pytest.approx(history["loss"], rel=1e-4)


def test_a_seed_fixes_every_bit():
    settings = {"augment": rotate_and_flip, "epochs": 2}
    first, second = (trained(model=build(dropout=0.5), **settings) for _ in range(2))
    assert torch.equal(weights(first[0]), weights(second[0]))
    assert first[1] == second[1]
    other, _ = trained(model=build(dropout=0.5), generator=generator(6), **settings)
    assert not torch.equal(weights(other), weights(first[0]))


def test_the_losses_are_means_over_jets():
    # At a learning rate of zero the model stays, whatever the batches.
    jets, validation = make_jets(), make_jets(seed=2)
    model, history = trained(epochs=1, learning_rate=0.0)
    for name, sample in (("loss", jets), ("val_loss", validation)):
        logits = torch.from_numpy(predict(model, sample))
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, sample.targets)
        assert history[name] == [pytest.approx(float(expected), rel=1e-5)]


def test_the_learning_rate_follows_the_schedule():
    _, history = trained(epochs=4, learning_rate=0.5e-3)
    at_the_last_step = [0.5e-3 * one_cycle((epoch + 3 / 4) / 4) for epoch in range(4)]
    assert history["learning_rate"] == pytest.approx(at_the_last_step)
    _, history = trained(epochs=2, learning_rate=0.5e-3, schedule="constant")
    assert history["learning_rate"] == [0.5e-3] * 2


def test_one_cycle_rises_once_and_falls_once():
    rates = np.array([one_cycle(x) for x in np.linspace(0, 1, 101)])
    assert rates.argmax() == 25
    assert rates.max() == pytest.approx(1)
    assert (np.diff(rates)[:25] > 0).all()
    assert (np.diff(rates)[25:] < 0).all()
    assert rates[-1] == pytest.approx(0, abs=1e-12)


def test_a_regression_learns_several_numbers():
    jets, validation = make_jets(400), make_jets(seed=2)
    for sample in (jets, validation):
        sums = torch.zeros(len(sample), 1).index_add(0, torch.repeat_interleave(sample.counts), sample.features[:, :1])
        sample.targets = torch.cat([sums / 5, sample.counts[:, None] / 15.0], dim=1)
    _, history = trained(
        model=build(n_outputs=2), epochs=30, jets=jets, validation=validation, loss=mse, learning_rate=1e-2
    )
    assert history["val_loss"][-1] < 0.05 * float(validation.targets.var(dim=0).mean())


def test_early_stopping_looks_at_the_validation_jets_and_restores_the_best():
    # Validation jets with the opposite labels: the better the training, the worse they are.
    validation = make_jets(seed=2)
    validation.targets = 1 - validation.targets
    model, history = trained(epochs=50, validation=validation, patience=3, learning_rate=1e-2, schedule="constant")
    best = int(np.argmin(history["val_loss"]))
    assert len(history["val_loss"]) == best + 1 + 3 < 50
    assert min(history["loss"]) < history["loss"][best]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(predict(model, validation)), validation.targets
    )
    assert float(loss) == pytest.approx(min(history["val_loss"]))
    assert all(len(values) == len(history["loss"]) for values in history.values())


def test_gradients_are_clipped(monkeypatch):
    lengths, step = [], torch.optim.AdamW.step

    def measured(self, *args, **kwargs):
        lengths.append(float(torch.cat([p.grad.ravel() for g in self.param_groups for p in g["params"]]).norm()))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", measured)
    trained(epochs=1, loss=lambda outputs, targets: 1e6 * ((outputs - targets) ** 2).mean())
    assert lengths == pytest.approx([1.0] * 4, rel=1e-4)


def test_the_inputs_stay_as_they_are():
    jets, validation = make_jets(), make_jets(seed=2)
    trained(jets=jets, validation=validation, augment=rotate_and_flip)
    for mine, fresh in ((jets, make_jets()), (validation, make_jets(seed=2))):
        assert torch.equal(mine.features, fresh.features)


@pytest.mark.skipif(pick_device().type == "cpu", reason="needs a GPU")
def test_a_gpu_agrees_with_the_cpu():
    device = pick_device()
    cpu, _ = trained(epochs=10, learning_rate=1e-2)
    jets = {"jets": make_jets().to(device), "validation": make_jets(seed=2).to(device)}
    gpu, _ = trained(epochs=10, learning_rate=1e-2, model=build().to(device), **jets)
    test = make_jets(seed=3)
    np.testing.assert_allclose(predict(gpu, test.to(device)), predict(cpu, test), atol=0.3)


# --- precision and shapes ---------------------------------------------------------------------------------------------


@pytest.fixture
def double_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_a_double_model_is_trained_in_its_own_precision():
    expected, history = trained(augment=rotate_and_flip)
    model, same = trained(model=build().double(), augment=rotate_and_flip)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    torch.testing.assert_close(weights(model).float(), weights(expected), rtol=1e-3, atol=1e-4)
    assert same["val_loss"] == pytest.approx(history["val_loss"], rel=1e-4)
    assert predict(model, make_jets()).dtype == np.float32


def test_another_default_precision_changes_nothing_else(double_by_default):
    jets = make_jets()
    assert jets.features.dtype == torch.float32
    model, _ = trained(jets=jets, augment=rotate_and_flip)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert predict(model, jets).dtype == np.float32
    trained(model=build().float(), augment=rotate_and_flip)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", [DeepSets, EnergyFlow])
def test_a_model_in_half_precision_predicts_but_does_not_learn(dtype, kind):
    model, jets = kind(3), make_jets()
    expected = predict(model, jets)
    result = predict(model.to(dtype), jets)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=0.05)
    with pytest.raises(ValueError, match=rf"the model is in {dtype}, .* model\.float\(\)"):
        trained(model=model)


class Shaped(torch.nn.Module):
    """A model whose outputs are made into another shape."""

    def __init__(self, shape, n_outputs=1):
        super().__init__()
        self.net, self.shape = build(n_outputs=n_outputs), shape

    def forward(self, x, counts):
        return self.shape(self.net(x, counts))


def test_one_number_per_jet_needs_no_second_dimension():
    expected, history = trained()
    model, same = trained(model=Shaped(lambda outputs: outputs[:, 0]))
    assert same == history
    assert np.array_equal(predict(model, make_jets()), predict(expected, make_jets()))


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"jets": with_targets(np.ones(200))},
            r"the 200 training jets have a target that is the same for all, \[\[1.0\]\]",
        ),
        ({"validation": with_targets(np.zeros(200))}, "the 200 validation jets have a target .* signal and background"),
        ({"validation": make_jets()[:0]}, "the 0 validation jets"),
        ({"jets": with_targets(np.arange(200))}, "the training jets have targets from 0 to 199: for a regression"),
        ({"jets": with_targets(np.arange(200) % 2 * 2 - 1)}, "targets from -1 to 1"),
        (
            {"schedule": "cosin"},
            "expected schedule one-cycle, cosine, constant or a function, .* got 'cosin', 3 and 64",
        ),
        ({"epochs": 0}, "got 'one-cycle', 0 and 64"),
        ({"batch_size": 0}, "got 'one-cycle', 3 and 0"),
        ({"model": build().to("meta")}, "the model is on meta, the training jets on cpu, .* model.to\\(device\\)"),
    ],
)
def test_what_cannot_be_learned_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        trained(**settings)


def test_a_loss_that_is_no_number_stops_the_training():
    with pytest.raises(FloatingPointError, match=r"the loss of epoch 1 is nan, .* lower the learning rate \(0.003\)"):
        trained(loss=lambda outputs, targets: mse(outputs, targets) * math.nan)


def test_features_of_another_network_are_refused():
    with pytest.raises(ValueError, match=r"expected x \(T, 7\)"):
        trained(model=DeepSets(7))


# --- predictions ------------------------------------------------------------------------------------------------------


def test_predictions_are_those_of_the_model_in_evaluation_mode():
    model, jets = build(dropout=0.5), make_jets()
    model.train()
    result = predict(model, jets, batch_size=7)
    assert model.training
    assert result.dtype == np.float32
    assert result.shape == (200, 1)
    with torch.no_grad():
        expected = model.eval()(jets.features, jets.counts)
    np.testing.assert_allclose(result, expected.numpy(), atol=1e-5)


def test_predictions_that_are_no_numbers_are_refused():
    jets = make_jets()
    empty = jets.counts[:, None].float()
    with pytest.raises(FloatingPointError, match="NaN or infinity for 20 of 200 jets, the first is jet 0"):
        predict(Shaped(lambda outputs: outputs / empty), jets, batch_size=200)


def test_a_model_without_parameters_predicts():
    class Count(torch.nn.Module):
        def forward(self, x, counts):
            return counts

    jets = make_jets()
    np.testing.assert_array_equal(predict(Count(), jets)[:, 0], jets.counts)


def test_predictions_leave_no_gradients():
    model = build()
    predict(model, make_jets())
    assert all(p.grad is None for p in model.parameters())


# --- rotations --------------------------------------------------------------------------------------------------------


def distances(features, counts):
    """All distances between the constituents of each jet, and from the axis."""
    return [torch.cdist(p, torch.cat([p, torch.zeros(1, 2)])) for p in features[:, :2].split(counts.tolist())]


def test_a_rotation_turns_each_jet_as_one():
    jets = make_jets()
    turned = rotate_and_flip(jets.features, jets.counts, generator())
    for before, after in zip(distances(jets.features, jets.counts), distances(turned, jets.counts), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=2e-3)  # cdist takes differences of squares
    assert torch.equal(turned[:, 2:], jets.features[:, 2:])
    assert not torch.allclose(turned[:, :2], jets.features[:, :2], atol=0.1)


def test_angles_are_uniform_and_every_second_jet_is_mirrored():
    # Two constituents at right angles show the angle and, by the side on which the second one is, the mirror.
    n = 20_000
    jets = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(n, 1)
    turned = rotate_and_flip(jets, torch.full((n,), 2), generator()).reshape(n, 2, 2).double()
    (x1, y1), (x2, y2) = turned[:, 0].T, turned[:, 1].T
    side = x1 * y2 - y1 * x2
    torch.testing.assert_close(side.abs(), torch.ones(n, dtype=torch.float64))
    assert abs(float(side.mean())) < 4 / math.sqrt(n)
    for k in (1, 2, 4):
        mean = torch.exp(1j * k * torch.atan2(y1, x1)).mean().abs()
        assert mean < 4 / math.sqrt(n)


def test_other_columns_can_be_turned():
    features = torch.tensor([[0.7, 3.0, 4.0], [0.3, 0.0, 1.0]])
    turned = rotate_and_flip(features, torch.tensor([2]), generator(), columns=(1, 2))
    assert turned[:, 0].tolist() == features[:, 0].tolist()
    assert turned[:, 1:].norm(dim=1).tolist() == pytest.approx([5.0, 1.0])


# --- progress ---------------------------------------------------------------------------------------------------------


def test_the_line_goes_to_the_standard_output(capsys, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    trained(progress=True)
    out, err = capsys.readouterr()
    assert err == ""
    last = out.rstrip("\n").split("\r")[-1]
    assert last.startswith("epoch 3/3 [####################]")
    assert "jets/s loss 0." in last
    assert "val_loss 0." in last


def test_a_test_and_the_default_print_nothing(capsys):
    trained()
    trained(progress=True)
    assert capsys.readouterr() == ("", "")
