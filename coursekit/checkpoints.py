"""Checkpoints of a training: all that its next epoch depends on, in one file."""

import io
import os
from pathlib import Path

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError('checkpoints hold PyTorch tensors: pip install "coursekit[torch]"') from error

from coursekit.files import replacing


class Checkpoint:
    """The file of one training, which is written after each epoch and from which the training can go on.

    Weights, the state of the optimiser and of the loss scaler, the history, the best weights, and the states of all
    random generators: what goes on from here arrives at the very weights of an uninterrupted training.

    Parameters
    ----------
    path : path-like
        The file; it need not exist yet.
    settings : dict of str to int, float or str
        What makes this training: a checkpoint with others is refused.
    model : nn.Module
    optimizer : torch.optim.Optimizer
    scaler : torch.amp.GradScaler
    generator : torch.Generator
        On the CPU; the order of the jets comes from it. Its seed counts as a setting.

    Attributes
    ----------
    path : pathlib.Path
    """

    def __init__(
        self,
        path: str | os.PathLike,
        settings: dict[str, int | float | str],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        generator: torch.Generator,
    ):
        self.path, self._generator = Path(path), generator
        n_parameters = sum(p.numel() for p in model.parameters())
        self._settings = settings | {"seed": generator.initial_seed(), "parameters": n_parameters}
        self._stateful = {"model": model, "optimizer": optimizer, "scaler": scaler}

    def save(self, history: dict[str, list[float]], best: dict[str, torch.Tensor]) -> None:
        """Write the file; it has its name only when it is complete.

        Raises
        ------
        OSError
            The disk is full or the folder cannot be written; the former checkpoint is as it was.
        """
        content = {name: thing.state_dict() for name, thing in self._stateful.items()}
        content |= {"settings": self._settings, "history": history, "best": best}
        # The global generators as well: dropout draws from them.
        content["random"] = {"generator": self._generator.get_state(), "cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            content["random"]["cuda"] = torch.cuda.get_rng_state_all()
        buffer = io.BytesIO()  # PyTorch's own way to a full disk ends with "unexpected pos 17152 vs 17040"
        torch.save(content, buffer)
        with replacing(self.path) as partial:
            partial.write_bytes(buffer.getbuffer())

    def restore(self) -> tuple[dict[str, list[float]], dict[str, torch.Tensor]]:
        """Put everything back to where `save` was called; return history and best weights.

        Raises
        ------
        ValueError
            The file is the checkpoint of a training with other settings.
        """
        content = torch.load(self.path, map_location="cpu", weights_only=True)
        there, here = content["settings"], self._settings
        if differing := [name for name in here if there.get(name) != here[name]]:
            text = ", ".join(f"{name} was {there.get(name)} and is {here[name]}" for name in differing)
            raise ValueError(
                f"{self.path} is the checkpoint of another training: {text}. Delete it, or name another file"
            )
        for name, thing in self._stateful.items():
            thing.load_state_dict(content[name])
        self._generator.set_state(content["random"]["generator"])
        torch.set_rng_state(content["random"]["cpu"])
        if "cuda" in content["random"]:
            torch.cuda.set_rng_state_all(content["random"]["cuda"])
        return content["history"], content["best"]
