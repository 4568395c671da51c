"""Disturb each training by as little as rounding does, inside a lesson that `coursekit.shaking` runs.

Another processor adds in another order, and the last bit of a sum differs. Here each such bit is drawn instead: the
initial weights of every network, the inputs of every training and, in each step, the gradients are multiplied by
numbers that differ from one by 1e-7 at most. None of the students' seeds is used. What is computed without a training
stays as it is, and so does whatever a check trains.

The frameworks are imported by the lesson, later or never, so each is changed when its import is finished.
"""

import functools
import importlib.machinery
import inspect
import itertools
import sys
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np

__all__ = ["SIZE", "install", "near"]

#: The largest relative change. A float32 has steps of 0.6e-7 to 1.2e-7, so about half of the numbers take another one.
SIZE = 1e-7

_checking = False  # while an exercise is checked, nothing is disturbed


def near(values, phase, ops):
    r"""Return values that differ from the given ones by rounding.

    .. math:: x \, \big(1 + 10^{-7} \cos(\mathrm{phase} + 10^4 \ln |x|)\big)

    There is no random generator whose state would have to be kept, also within a compiled graph. Zeros stay zero, equal
    numbers stay equal, and the order of two numbers is kept, as it is with numbers that another processor computes.

    Parameters
    ----------
    values : array, tensor or data frame of floats
    phase : float or () tensor
        Another one gives other changes.
    ops : module
        What has ``abs``, ``log`` and ``cos`` of such values: `numpy`, `torch` or `keras.ops`.

    Returns
    -------
    as `values`

    Examples
    --------
    >>> changed = near(np.array([0.0, 1.5, 1.5, 3.0]), 1, np)
    >>> changed.round(6).tolist(), bool(changed[1] == changed[2]), bool(changed[3] == 3)
    ([0.0, 1.5, 1.5, 3.0], True, False)
    """
    return values * (1 + SIZE * ops.cos(phase + 1e4 * ops.log(ops.abs(values) + 1e-30)))


def install(seed: int) -> None:
    """Disturb all trainings of this process from here on; harmless when called again.

    Parameters
    ----------
    seed : int
        The number of the shake: another one disturbs otherwise, the same one alike.
    """
    if any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        return
    patches = {
        "torch": _disturb_torch,
        "keras": _disturb_keras,
        "sklearn.base": _disturb_sklearn,
        "coursekit.checks.engine": _spare_checks,
    }
    patches = {name: functools.partial(patch, seed=seed) for name, patch in patches.items()}
    for name in patches.keys() & sys.modules.keys():
        patches[name](sys.modules[name])
    sys.meta_path.insert(0, _AfterImport(patches))


class _AfterImport(importlib.machinery.PathFinder):
    """Finds modules as always, and lets some be changed as soon as they are imported."""

    def __init__(self, patches: dict[str, Callable]):
        self.patches = patches

    def find_spec(self, name, path=None, target=None):
        spec = super().find_spec(name, path, target) if name in self.patches else None
        if spec is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            self.patches[name](module)

        spec.loader.exec_module = exec_module
        return spec


# --- what is changed in each framework --------------------------------------------------------------------------------


def _disturb_torch(torch, seed: int) -> None:
    initialise, steps = torch.optim.Optimizer.__init__, itertools.count(seed)
    call = torch.nn.Module.__call__

    def __init__(self, *args, **kwargs):
        initialise(self, *args, **kwargs)
        disturb([weights for group in self.param_groups for weights in group["params"]], seed)

    def disturb(tensors, phase):
        with torch.no_grad():
            for tensor in tensors if not _checking else ():
                tensor.copy_(near(tensor, phase, torch))

    def before_step(optimizer, args, kwargs):
        weights = (weights for group in optimizer.param_groups for weights in group["params"])
        disturb([one.grad for one in weights if one.grad is not None], next(steps))

    def call_near(module, *inputs, **named):
        # What needs no gradient is data: activations of earlier layers do.
        trains = module.training and torch.is_grad_enabled() and not _checking
        if trains and next(module.parameters(recurse=False), None) is not None:
            inputs = (near(one, seed, torch) if is_data(one) else one for one in inputs)
        return call(module, *inputs, **named)

    def is_data(value):
        return torch.is_tensor(value) and value.dtype in (torch.float32, torch.float64) and not value.requires_grad

    torch.optim.Optimizer.__init__ = __init__
    sys.modules["torch.optim.optimizer"].register_optimizer_step_pre_hook(before_step)
    torch.nn.Module.__call__ = call_near  # no hook for all modules: PyTorch's exporter does not work beside one


def _disturb_keras(keras, seed: int) -> None:
    Optimizer, Model = keras.optimizers.Optimizer, keras.Model
    build, apply, train_step = Optimizer.build, Optimizer.apply, Model.train_step

    def changed(value, phase=seed):
        floats = keras.ops.is_tensor(value) and keras.backend.standardize_dtype(value.dtype) in ("float32", "float64")
        return near(value, phase, keras.ops) if floats else value

    def build_near(self, variables):
        # An optimiser may be built while a graph is traced; the weights are to change once, not in each step.
        eagerly = keras.backend.backend() == "tensorflow"
        with sys.modules["tensorflow"].init_scope() if eagerly else nullcontext():
            for variable in variables if not (_checking or self.built) else ():
                variable.assign(changed(keras.ops.convert_to_tensor(variable)))
        build(self, variables)

    def apply_near(self, grads, trainable_variables=None):
        if not _checking:
            step = keras.ops.cast(self.iterations, "float32")
            grads = [changed(gradient, seed + step) for gradient in grads]
        return apply(self, grads, trainable_variables)

    def train_step_near(self, data):
        inputs, *rest = keras.utils.unpack_x_y_sample_weight(data)
        if not _checking:
            inputs = keras.tree.map_structure(changed, inputs)
        return train_step(self, keras.utils.pack_x_y_sample_weight(inputs, *rest))

    Optimizer.build, Optimizer.apply, Model.train_step = build_near, apply_near, train_step_near


def _disturb_sklearn(base, seed: int) -> None:
    define = base.BaseEstimator.__init_subclass__.__func__

    def __init_subclass__(cls, **kwargs):
        define(cls, **kwargs)
        change(cls)

    def change(cls):
        for name in ("fit", "fit_transform"):
            method = vars(cls).get(name)
            if inspect.isfunction(method) and list(inspect.signature(method).parameters)[1:2] == ["X"]:
                setattr(cls, name, with_near_inputs(method))

    def with_near_inputs(method):
        @functools.wraps(method)
        def fit(self, X, *args, **kwargs):
            return method(self, X if _checking else changed(X), *args, **kwargs)

        return fit

    def changed(X):
        if hasattr(X, "select_dtypes"):  # a data frame
            floats, X = X.select_dtypes("floating").columns, X.copy()
            X[floats] = near(X[floats], seed, np)
            return X
        return near(X, seed, np) if isinstance(X, np.ndarray) and X.dtype.kind == "f" else X

    base.BaseEstimator.__init_subclass__ = classmethod(__init_subclass__)
    classes = [base.BaseEstimator]  # some may have been imported before, by the course itself
    for cls in classes:
        classes += [one for one in cls.__subclasses__() if one not in classes]
        change(cls)


def _spare_checks(engine, seed: int) -> None:
    run_check = engine.run_check

    def run_undisturbed(*args):
        global _checking
        _checking = True
        try:
            return run_check(*args)
        finally:
            _checking = False

    engine.run_check = run_undisturbed
