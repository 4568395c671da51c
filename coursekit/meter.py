"""What a training says of itself while it runs: one line on the standard output, written over and over."""

import math
import os
import time


class Line:
    """Epochs, jets per second and losses of a training.

    Parameters
    ----------
    wanted : bool
        Whether anything is printed; never while the course is built or tested.
    epochs : int
        That the training takes, at most.
    n_jets : int
        Of an epoch.
    """

    def __init__(self, wanted: bool, epochs: int, n_jets: int):
        # A build and nbval set this variable; they store or compare what is printed, and no two speeds are equal.
        self.wanted = wanted and "PYTEST_CURRENT_TEST" not in os.environ
        self.epochs, self.n_jets, self.n_learned, self.n_before = epochs, n_jets, 0, None
        self.start = self.shown = time.monotonic()

    def step(self, n_jets: int, history: dict[str, list[float]]) -> None:
        """Count jets, and write the line unless it is fresh."""
        if self.n_before is None:  # epochs of a training that goes on from a checkpoint
            self.n_before = len(history["loss"])
        self.n_learned += n_jets
        epochs_done = self.n_before + self.n_learned / self.n_jets
        if not self.wanted or (time.monotonic() - self.shown < 0.2 and epochs_done < self.epochs):
            return
        self.shown = time.monotonic()
        rate = self.n_learned / (self.shown - self.start)
        bar = "#" * int(20 * epochs_done / self.epochs)
        losses = [f"{name} {history[name][-1]:.4f}" for name in ("loss", "val_loss") if history[name]]
        text = f"epoch {math.ceil(epochs_done)}/{self.epochs} [{bar:<20}] {rate:,.0f} jets/s {' '.join(losses)}"
        print(f"\r{text:<79}", end="", flush=True)

    def end(self) -> None:
        """Leave the line as it is."""
        if self.wanted:
            print()
