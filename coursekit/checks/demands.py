"""What an exercise may demand of a right answer: each takes the function and the arguments of a case, and may fail."""

import numpy as np

from coursekit.checks.compare import agree, call, fail

__all__ = ["given_generator", "gradient", "whole_numbers"]


def gradient(function, values, *others) -> None:
    """The result must depend on its first argument, a tensor, in a way that ``backward()`` can follow.

    The gradient is looked at where it should arrive, and compared with how the result changes: a result may have a
    gradient that leads nowhere, or only to a part of the values.
    """
    values = values.detach().clone().requires_grad_()
    result = function(values, *others)  # not a copy of the values: their gradient is looked at
    if result.requires_grad:
        result.sum().backward()
    if values.grad is None:
        fail(
            "the result has no gradient any more: detach(), numpy() or a new tensor made of its values cut the chain, "
            "and the network behind it would never learn."
        )
    if not values.grad.isfinite().all():
        fail(
            "the result is right, but its gradient contains NaN: 0 / 0 on the way, and nan_to_num or where repairs the "
            "value alone. .clamp(min=1), before the division."
        )
    _follows_the_result(function, values, others)


def _follows_the_result(function, values, others) -> None:
    """Compare the gradient with differences of the result, along two directions in which nothing cancels."""
    start, step, rng = values.detach(), 1e-2, np.random.default_rng(1)
    for sign in (1, -1):
        along = start.new_tensor(rng.uniform(0.5, 1.5, tuple(start.shape)))
        along = along.where(values.grad >= 0, -along).where(values.grad != 0, sign * along)
        up, down = (function(start + way * step * along, *others).double() for way in (1, -1))
        expected, got = ((up - down).sum() / (2 * step)).item(), (values.grad * along).double().sum().item()
        rounding = 1e-6 * up.abs().sum().item() / step
        if not abs(got - expected) <= 0.05 * max(abs(expected), abs(got)) + rounding:
            fail(
                "the result is right, but its gradient is not the slope of the result: detach() or numpy() cut the "
                "chain of one of its terms, and the network behind it would learn something else."
            )


def given_generator(function, *arguments) -> None:
    """All randomness must come from the `numpy.random.Generator` among the arguments."""
    at = next(i for i, argument in enumerate(arguments) if isinstance(argument, np.random.Generator))

    def run(seed):
        state = np.random.get_state()  # noqa: NPY002 - the global generator is what must not be used
        np.random.seed(0)  # noqa: NPY002
        try:
            generator = np.random.default_rng(seed)
            return call(function, *arguments[:at], generator, *arguments[at + 1 :])
        finally:
            np.random.set_state(state)  # noqa: NPY002

    first, again, other = (run(seed) for seed in (1, 1, 2))
    if not agree(first, again):
        fail(
            "a generator with the same seed gives another result at the second call: something else draws, such as "
            "random or default_rng() without a seed. Draw from the one that is given, and a run can be repeated."
        )
    if agree(first, other):
        fail(
            "another generator gives the same result. Draw from the one that is given: np.random does not know it, nor "
            "does a generator made inside, whose fixed seed would give everybody the same numbers for ever."
        )


def whole_numbers(function, *arguments) -> None:
    """The result, or each entry of a list, must be of an integer dtype, as numbers of rows are."""
    result = call(function, *arguments)
    for part in result if isinstance(result, list | tuple) else [result]:
        if (dtype := np.asarray(part).dtype).kind not in "iu":
            fail(
                f"the numbers are right, but they are no whole numbers for Python: their type is {dtype}. Rows are "
                "counted with integers: int(...) makes one, .astype(int) an array of them."
            )
