"""The training loop with a weight for each jet, other optimisers, and somebody who looks on."""

import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coursekit.schedules import inverse_time  # noqa: E402
from tests.test_training import build, generator, make_jets, mse, trained, weights, with_targets  # noqa: E402


def test_weights_multiply_the_loss_of_each_jet():
    jets, w = make_jets(), np.random.default_rng(1).uniform(0, 3, 200)
    with_weights = with_targets(np.stack([np.arange(200) % 2, w], axis=1))

    def by_hand(outputs, targets):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], targets[:, 0], reduction="none")
        return (targets[:, 1] * loss).mean()

    own, history = trained(jets=with_weights, validation=with_weights, loss=by_hand)
    model, same = trained(jets=jets, validation=jets, weights=(w, w))
    assert torch.equal(weights(own), weights(model))
    assert history == same
    assert jets.targets.shape == (200, 1)  # the caller's jets are what they were


def test_equal_weights_are_no_weights():
    model, history = trained(weights=(np.ones(200), np.ones(200)))
    plain, same = trained()
    assert history["val_loss"] == pytest.approx(same["val_loss"], rel=1e-6)
    torch.testing.assert_close(weights(model), weights(plain))


@pytest.mark.parametrize("negative", [-0.5, 0.0])
def test_a_jet_of_negative_weight_unlearns(negative):
    """Twins of which one has weight -1/2 and one 3/2 are one jet of weight 1."""
    jets = make_jets()
    pairs = torch.arange(200).repeat_interleave(2)
    w = np.tile([negative, 1 - negative], 200)
    for k, loss in ((1, mse), (1, torch.nn.MSELoss())):
        twins, _ = trained(
            model=build(n_outputs=k), jets=jets[pairs], weights=(w, np.ones(200)), batch_size=400, loss=loss
        )
        single, _ = trained(model=build(n_outputs=k), jets=jets, batch_size=200, loss=loss)
        # The mean over twice as many jets is half as large, to which Adam is indifferent.
        torch.testing.assert_close(weights(twins), weights(single), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": (np.ones(199), np.ones(200))}, "200 events but 199 weights"),
        ({"weights": (np.ones(200), np.full(200, np.nan))}, "200 of 200 weights are NaN"),
        ({"weights": (np.ones(200), np.ones(200)), "loss": lambda y, t: mse(y, t)}, "of each of the 200 jets; it gave"),
    ],
)
def test_weights_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        trained(batch_size=200, **settings)


def test_another_optimiser_and_another_schedule():
    rates = functools.partial(inverse_time, n_steps=4, decay=1.0)
    sgd = functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True)
    model, history = trained(epochs=1, schedule=rates, learning_rate=0.1, optimizer=sgd)
    bare, jets = build(), make_jets()
    steps = sgd(bare.parameters(), lr=0.1)
    for number, index in enumerate(torch.randperm(200, generator=generator()).split(64)):
        steps.param_groups[0]["lr"] = 0.1 / (1 + number)
        x, counts, targets = jets.batch(index)
        steps.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(bare(x, counts), targets).backward()
        torch.nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
        steps.step()
    torch.testing.assert_close(weights(model), weights(bare))
    assert history["learning_rate"] == [0.1 / 4]


def test_who_looks_on_may_end_the_training_and_changes_nothing():
    seen = []
    model, _ = trained(epochs=4, after_epoch=lambda history: seen.append(len(history["loss"])))
    plain, _ = trained(epochs=4)
    assert seen == [1, 2, 3, 4]
    assert torch.equal(weights(model), weights(plain))
    assert len(trained(epochs=4, after_epoch=lambda history: len(history["loss"]) == 2)[1]["loss"]) == 2


def test_a_checkpoint_knows_weights_and_optimiser(tmp_path):
    path, w = tmp_path / "a.pt", (np.ones(200), np.ones(200))
    trained(checkpoint=path, weights=w)
    with pytest.raises(ValueError, match=r"another training: .*weights"):
        trained(checkpoint=path)
    with pytest.raises(ValueError, match="another training: optimizer was not saved"):
        trained(checkpoint=path, weights=w, optimizer=torch.optim.SGD)
