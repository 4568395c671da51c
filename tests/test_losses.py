"""Losses: classes by number and one-hot alike, and a word about what would train a network on nonsense."""

import functools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coursekit.training import predict  # noqa: E402
from tests.test_training import Shaped, build, make_jets, mse, trained, weights, with_targets  # noqa: E402

classes = make_jets(seed=4).counts % 3
cross_entropy, one_hot = torch.nn.functional.cross_entropy, torch.nn.functional.one_hot


def test_classes_are_learned_by_number_and_one_hot_alike():
    smooth = functools.partial(cross_entropy, label_smoothing=0.1)
    for loss in (cross_entropy, torch.nn.CrossEntropyLoss(), smooth):
        both = [
            trained(model=build(n_outputs=4), jets=with_targets(y), validation=with_targets(y), loss=loss, epochs=2)
            for y in (classes, one_hot(classes, 4))  # the fourth class is absent
        ]
        torch.testing.assert_close(weights(both[0][0]), weights(both[1][0]), rtol=1e-3, atol=1e-5)
    logits = torch.from_numpy(predict(both[0][0], with_targets(classes)))
    assert float(smooth(logits, classes)) == pytest.approx(min(both[0][1]["val_loss"]), rel=1e-5)


def test_a_column_may_be_constant_as_long_as_a_row_is_not():
    y = np.stack([np.arange(200) % 2, np.ones(200)], axis=1)
    _, history = trained(model=build(n_outputs=2), jets=with_targets(y), validation=with_targets(y), loss=mse)
    assert len(history["loss"]) == 3


@pytest.mark.parametrize(
    ("targets", "settings", "message"),
    [
        (classes * 0 + 1, {}, r"the 200 training jets have a target that is the same for all, \[\[1\.0\]\]"),
        (one_hot(classes * 0, 3), {}, r"the same for all, \[\[1\.0, 0\.0, 0\.0\]\]"),
        (classes, {"model": build(n_outputs=2)}, "cross_entropy takes an output for each of the 3 classes, .* gives 2"),
        (classes % 2, {"model": build()}, "cross_entropy takes an output for each of the 2 classes, .* gives 1"),
        (one_hot(classes), {"model": build(n_outputs=4)}, "each of the 3 classes, .* gives 4"),
        (classes - 1, {}, "takes the numbers of classes, .* targets from -1 to 1"),
        (classes / 2, {}, "takes the numbers of classes, .* between whole numbers"),
        (
            torch.rand(200, 3),
            {},
            "cross_entropy takes .* probabilities that add up to one; the 3 targets of",
        ),
        (one_hot(classes), {"loss": torch.nn.NLLLoss()}, "nll_loss takes the number of a class"),
        (classes, {"loss": torch.nn.BCEWithLogitsLoss()}, "takes labels between 0 and 1, .* from 0 to 2"),
        (classes, {"loss": mse}, r"mse_loss compares each output with a target, .* gives \(\d+, 3\) for .* \(\d+, 1\)"),
        (classes, {"loss": lambda o, y: (o - y) ** 2}, r"must return the mean .* it gave a tensor \(\d+, 3\)"),
        (classes, {"loss": lambda o, y: 1.0}, "must return the mean .* it gave float"),
        (classes, {"loss": functools.partial(mse, reduction="none")}, "reduction is \"mean\", not 'none'"),
        (classes, {"loss": torch.nn.CrossEntropyLoss(reduction="sum")}, "reduction is \"mean\", not 'sum'"),
        (classes, {"model": Shaped(lambda o: (o, o))}, r"one tensor \(N, K\) for N = \d+ jets; it gave tuple"),
        (classes, {"model": Shaped(lambda o: o[1:])}, r"one tensor \(N, K\) for N = \d+ jets; it gave a tensor"),
        (classes, {"model": build(n_outputs=3).requires_grad_(False)}, "the model has no parameter that learns"),
        (classes, {"model": torch.nn.ReLU()}, "the model has no parameter that learns"),
        (classes, {"epochs": 2.5}, "epochs must be a whole number of at least 0, but is 2.5"),
        (classes, {"batch_size": "64"}, "batch_size must be a whole number .* but is '64'"),
        (classes, {"learning_rate": math.nan}, "learning_rate must be a number of at least 0, but is nan"),
        (classes, {"patience": -1}, "patience must be a whole number of at least 0, but is -1"),
        (
            classes,
            {"loss": torch.nn.CrossEntropyLoss(weight=torch.ones(3).double())},
            r"cannot be taken of outputs \(64, 3\) .* float32 \(.*\): weights in a loss are tensors of this type",
        ),
        (classes, {"loss": lambda o, y: cross_entropy(o, y)}, r"of classes are targets\[:, 0\]\.long\(\)"),
        (classes, {"loss": functools.partial(cross_entropy, weight=[1.0, 1.0, 1.0])}, "cannot be taken of .* list"),
        (classes, {"loss": functools.partial(torch.nn.MSELoss(reduction="sum"))}, "reduction is \"mean\", not 'sum'"),
        (classes % 2, {"loss": torch.nn.SoftMarginLoss(), "model": build()}, "soft_margin_loss takes labels -1 and 1"),
        (classes, {"loss": lambda o, y: (o > y).float().mean()}, "the loss has no gradient"),
        (classes, {"augment": lambda x, n, rng: None}, r"augment must return a tensor \(\d+, 3\)"),
        (classes, {"augment": lambda x, n, rng: x[1:]}, r"augment must return a tensor \(\d+, 3\)"),
        (classes, {"learning_rate": np.array([1e-3])}, "learning_rate must be a number"),
    ],
)
def test_classes_and_losses_that_do_not_fit_are_refused(targets, settings, message):
    settings = {"model": build(n_outputs=3), "loss": cross_entropy, **settings}
    with pytest.raises(ValueError, match=message):
        trained(jets=with_targets(targets), validation=with_targets(targets), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "mse"}, "the loss is a function, .* 'mse' came"),
        ({"loss": torch.nn.MSELoss}, "the loss is a function, or a module such as"),
        ({"generator": np.random.default_rng(1)}, r"generator is a torch.*Generator, but .*numpy"),
        ({"validation": [1, 2]}, r"validation is a .*PackedJets, but .*list"),
    ],
)
def test_things_of_another_kind_are_refused_by_name(settings, message):
    with pytest.raises(TypeError, match=message):
        trained(**settings)


def test_the_mean_over_a_batch_of_distributions_is_a_mean():
    jets = with_targets(one_hot(classes))
    log_softmax = Shaped(lambda o: o.log_softmax(dim=1), n_outputs=3)
    trained(model=log_softmax, jets=jets, validation=jets, loss=torch.nn.KLDivLoss(reduction="batchmean"))


def test_no_jets_have_no_outputs():
    assert predict(build(), make_jets()[[]]).shape == (0, 1)


def test_targets_of_two_kinds_are_refused():
    jets = with_targets(one_hot(classes))
    with pytest.raises(ValueError, match=r"targets of different kinds, .* {'training': 3, 'validation': 1}"):
        trained(model=build(n_outputs=3), jets=jets, validation=with_targets(classes), loss=cross_entropy)
