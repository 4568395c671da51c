"""Packed jets as tensors on one device, from which batches are gathered by one indexing."""

try:
    import torch
except ImportError as error:
    raise ImportError('packed jets are PyTorch tensors: pip install "coursekit[torch]"') from error


class PackedJets:
    """Jets of any length with a target each, on one device.

    Parameters
    ----------
    features : (T, F) array or tensor
        One row per constituent, the jets one after the other.
    counts : (N,) int array or tensor
        Constituents of each jet, their sum is T; zeros are allowed.
    targets : (N,) or (N, K) array or tensor
        What the network shall say: labels 0 or 1, or the K numbers of a regression.

    Attributes
    ----------
    features : (T, F) float32 tensor
    counts : (N,) int64 tensor
    targets : (N, K) float32 tensor

    Raises
    ------
    ValueError
        If the shapes do not fit together, or a feature or target is NaN or infinite.

    Examples
    --------
    >>> jets = PackedJets([[1.0], [2.0], [3.0]], counts=[2, 1], targets=[0, 1])
    >>> features, counts, targets = jets.batch(torch.tensor([1, 0]))
    >>> features.ravel().tolist(), counts.tolist(), targets.ravel().tolist()
    ([3.0, 1.0, 2.0], [1, 2], [1.0, 0.0])
    """

    def __init__(self, features, counts, targets):
        features = torch.as_tensor(features, dtype=torch.float32)
        counts = torch.as_tensor(counts, dtype=torch.int64)
        targets = torch.as_tensor(targets, dtype=torch.float32)
        if features.ndim != 2 or counts.ndim != 1 or targets.ndim not in (1, 2) or len(targets) != len(counts):
            raise ValueError(
                "expected features (T, F), counts (N,) and targets (N,) or (N, K); got "
                f"{tuple(features.shape)}, {tuple(counts.shape)} and {tuple(targets.shape)}"
            )
        if (counts < 0).any() or counts.sum() != len(features):
            raise ValueError(f"counts must be >= 0 and add up to T = {len(features)}; they add up to {counts.sum()}")
        for name, values in (("features", features), ("targets", targets)):
            if not values.isfinite().all():
                rows = (~values.reshape(len(values), -1).isfinite().all(dim=1)).sum()
                raise ValueError(f"{rows} of {len(values)} rows of the {name} have a NaN or an infinity")
        self.features, self.counts = features, counts
        self.targets = targets[:, None] if targets.ndim == 1 else targets
        self._first = counts.cumsum(0) - counts  # (N,) the row at which each jet begins

    def __len__(self) -> int:
        """Return N, the number of jets."""
        return len(self.counts)

    def __getitem__(self, jets: slice) -> "PackedJets":
        """Return some of the jets, as ``jets[:1000]`` or ``jets[index]`` with N' numbers."""
        return PackedJets(*self.batch(torch.arange(len(self), device=self.device)[jets]))

    @property
    def device(self) -> torch.device:
        """The device on which the tensors live."""
        return self.features.device

    def to(self, device: torch.device | str) -> "PackedJets":
        """Return the same jets on a device."""
        return PackedJets(self.features.to(device), self.counts.to(device), self.targets.to(device))

    def batch(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gather jets by their numbers, (B,) int64, in this order: features (T', F), counts (B,), targets (B, K)."""
        index = index.to(self.device)
        counts = self.counts[index]
        end = counts.cumsum(0)
        n_rows = int(end[-1]) if len(end) else 0
        shift = torch.repeat_interleave(self._first[index] - (end - counts), counts, output_size=n_rows)
        return self.features[torch.arange(n_rows, device=self.device) + shift], counts, self.targets[index]
