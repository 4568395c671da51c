"""Half precision, as a GPU computes: on a CPU, which takes the same path when it is told so."""

import pytest

torch = pytest.importorskip("torch", reason='pip install "coursekit[torch]"')

from coursekit import precision, training  # noqa: E402
from tests.test_training import build, generator, trained, weights  # noqa: E402


def test_half_precision_goes_the_same_way(monkeypatch):
    # What a GPU does, on a CPU: half precision in the network, scaled losses, gradients unscaled before the clip.
    expected, _ = trained(learning_rate=1e-3)
    for place in (training, precision):
        monkeypatch.setattr(place, "HALF", ("cpu",))
    model, seen = build(), set()
    model.phi.register_forward_hook(lambda _module, _inputs, output: seen.add((output.dtype, torch.is_grad_enabled())))
    trained(model=model, learning_rate=1e-3)
    assert seen == {(torch.float16, True), (torch.float32, False)}  # training in half, validation in single precision
    torch.testing.assert_close(weights(model), weights(expected), rtol=0.02, atol=2e-3)


def test_what_leaves_the_range_of_float16_is_computed_in_float32(monkeypatch):
    expected, _ = trained()
    for place in (training, precision):
        monkeypatch.setattr(place, "HALF", ("cpu",))
    model, seen = build(), []
    model.phi.register_forward_hook(lambda _module, _inputs, out: seen.append(out.dtype) or out * 1e6 * 1e-6)
    trained(model=model)
    assert seen[:2] == [torch.float16, torch.float32]
    torch.testing.assert_close(weights(model), weights(expected), rtol=1e-3, atol=1e-4)


def test_what_was_not_finite_leaves_no_trace_in_a_batch_normalisation(monkeypatch):
    monkeypatch.setattr(precision, "HALF", ("cpu",))
    x, weight = 1e5 * torch.randn(8, 2, generator=generator()), torch.eye(2)
    norm, plain = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    found = precision.in_half(norm, "cpu", torch.float32, lambda: norm(x @ weight))
    torch.testing.assert_close(found, plain(x))
    torch.testing.assert_close(norm.state_dict(), plain.state_dict())
