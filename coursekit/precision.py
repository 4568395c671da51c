"""Half precision in a training: where it is fast, and what is done where its range does not suffice."""

from collections.abc import Callable

import torch
from torch import nn

__all__ = ["HALF", "in_half"]

#: Devices that compute faster in float16.
HALF = ("cuda",)


def in_half(model: nn.Module, device: str, dtype: torch.dtype, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Return what a model computes, in float16 where that is fast, in float32 if not all of it is finite.

    Parameters
    ----------
    model : torch.nn.Module
        Its buffers, such as the running means of a batch normalisation, keep nothing of what was not finite.
    device : str
        ``"cpu"``, ``"cuda"`` ...
    dtype : torch.dtype
        Of the parameters; those in float64 stay in it.
    compute : function
        Calls the model.
    """
    if device not in HALF or dtype != torch.float32:
        return compute()
    before = [buffer.clone() for buffer in model.buffers()]
    with torch.autocast(device, torch.float16):
        outputs = compute()
    if outputs.isfinite().all():
        return outputs
    with torch.no_grad():
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.copy_(value)
    return compute()
