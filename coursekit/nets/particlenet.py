r"""ParticleNet: a jet as a graph, in which each constituent talks to its nearest neighbours.

.. math:: x_i' = \mathrm{ReLU}\Big(\frac1k \sum_{j \in \mathrm{kNN}(i)} h(x_i,\, x_j - x_i) + W x_i\Big)

is an edge convolution: a small network h, the same for all, looks at each edge, the centre and the difference to its
neighbour, and the mean over the neighbours is the new constituent; W is the shortcut. In the first block, near means
near in the plane of eta and phi; in each later one, near in the features that the block before has made, so that the
graph changes with what the network has learned.

References
----------
H. Qu, L. Gouskos, "ParticleNet: Jet Tagging via Particle Clouds", arXiv:1902.08570, figures 1 and 2.
Y. Wang et al., "Dynamic Graph CNN for Learning on Point Clouds", arXiv:1801.07829.
"""

from collections.abc import Sequence
from itertools import pairwise

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as error:
    raise ImportError('networks on graphs need PyTorch: pip install "coursekit[torch]"') from error

from coursekit.nets.deepsets import pool
from coursekit.nets.groups import check_packed, exactly, grouped, in_slots, is_exporting


@torch.no_grad()
def neighbours(points: torch.Tensor, counts: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the k nearest other constituents of each constituent, within its jet.

    Parameters
    ----------
    points : (T, D) float tensor
        Where the constituents are.
    counts : (N,) int64 tensor
    k : int

    Returns
    -------
    neighbours : (E,) int64 tensor
        Their rows, nearest first, those of one constituent after those of the other.
    degrees : (T,) int64 tensor
        How many each has: k, or all others where the jet has fewer. They add up to E.

    Examples
    --------
    >>> found, degrees = neighbours(torch.tensor([[0.0], [3.0], [1.0], [9.0]]), torch.tensor([3, 1]), k=2)
    >>> found.tolist(), degrees.tolist()  # of the constituents 0, 1, 2; the last is alone in its jet
    ([2, 1, 2, 0, 0, 1], [2, 2, 2, 0])
    """
    n_rows = points.shape[0]
    nearest = counts.new_zeros(n_rows + 1, k)  # the last row takes what empty slots find
    for _, rows in grouped(counts, n_rows, at_least=k + 1):
        # Squares of distances from products, five times as fast as `torch.cdist` by differences, and as exact as floats
        # are if the products are doubles.
        slots = in_slots(exactly(points).nan_to_num(0, 0, 0), rows)  # (n, P, D); what is broken has neighbours, too
        squares = slots.square().sum(dim=2)  # (n, P)
        distances = torch.baddbmm(squares[:, :, None] + squares[:, None], slots, slots.mT, alpha=-2)  # (n, P, P)
        itself = torch.eye(rows.shape[1], dtype=torch.bool, device=rows.device)
        distances = distances.masked_fill(itself | (rows == n_rows)[:, None], torch.inf)
        slot = distances.topk(k, dim=2, largest=False).indices  # (n, P, k)
        nearest[rows] = rows[:, None].expand(-1, rows.shape[1], -1).gather(2, slot)
    degrees = torch.repeat_interleave((counts - 1).clamp(0, k), counts, output_size=n_rows)  # (T,)
    exists = torch.arange(k, device=counts.device) < degrees[:, None]  # (T, k)
    found = nearest[:n_rows][exists]  # (E,)
    if is_exporting():
        torch._check(found.shape[0] > 0)  # what it writes down holds for zero, too
    return found, degrees


class EdgeConv(nn.Module):
    """One edge convolution with its shortcut, (T, F) -> (T, C).

    Parameters
    ----------
    n_features : int
        F.
    channels : sequence of int
        Units of the layers of h, each followed by batch normalisation and a rectifier; the last number is C.
    """

    def __init__(self, n_features: int, channels: Sequence[int]):
        super().__init__()
        self.edge = nn.Linear(2 * n_features, channels[0], bias=False)  # the normalisation has the bias
        self.layers = nn.ModuleList(nn.Linear(i, o, bias=False) for i, o in pairwise(channels))
        self.norms = nn.ModuleList(nn.BatchNorm1d(c) for c in channels)
        self.shortcut = nn.Sequential(nn.Linear(n_features, channels[-1], bias=False), nn.BatchNorm1d(channels[-1]))

    def forward(self, x: torch.Tensor, neighbours: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
        """Return the new features, (T, C), from the old ones (T, F) and what `neighbours` returns, (E,) and (T,)."""
        # A linear layer of (x_i, x_j - x_i) is (A - B) x_i + B x_j: once for each constituent, not for each edge.
        of_centre, of_difference = self.edge.weight.chunk(2, dim=1)
        centres = torch.repeat_interleave(degrees, output_size=neighbours.shape[0])  # (E,)
        h = F.linear(x, of_centre - of_difference).index_select(0, centres)  # (E, C)
        h = h + F.linear(x, of_difference).index_select(0, neighbours)
        h = F.relu(self.norms[0](h), inplace=True)
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            h = F.relu(norm(layer(h)), inplace=True)
        return F.relu(pool(h, degrees, "mean") + self.shortcut(x))  # (T, C)


class ParticleNet(nn.Module):
    """Edge convolutions, the mean over all constituents of a jet, and a dense network.

    Parameters
    ----------
    n_features : int
        F, the columns of `x`.
    k : int
        Neighbours of each constituent.
    blocks : sequence of sequences of int
        Units of the layers of each edge convolution.
    hidden : int
        Units of the dense layer.
    n_outputs : int
        K: 1 for two classes (a logit), or one logit for each class.
    dropout : float
        Share of the hidden units that a training step leaves out.
    coordinates : (int, int)
        The columns of `x` in which the first graph is drawn; d_eta and d_phi in `coursekit.jets.relative_features`.

    Notes
    -----
    The defaults are those of ParticleNet-Lite (26k parameters). The full one of the paper (366k) is
    ``ParticleNet(k=16, blocks=((64,) * 3, (128,) * 3, (256,) * 3), hidden=256)``.

    Raises
    ------
    ValueError
        For a size below one.

    Examples
    --------
    >>> net = ParticleNet(n_features=3).eval()
    >>> net(torch.rand(5, 3), torch.tensor([2, 3])).shape  # two jets, of two and three constituents
    torch.Size([2, 1])
    """

    def __init__(
        self,
        n_features: int = 7,
        k: int = 7,
        blocks: Sequence[Sequence[int]] = ((32, 32, 32), (64, 64, 64)),
        hidden: int = 128,
        n_outputs: int = 1,
        dropout: float = 0.1,
        coordinates: tuple[int, int] = (0, 1),
    ):
        super().__init__()
        units = [len(blocks), *(len(block) for block in blocks), *(n for block in blocks for n in block)]
        if min(n_features, k, hidden, n_outputs, *units) < 1:
            raise ValueError(f"every size is at least 1, got {n_features = }, {k = }, {blocks = }, {hidden = }")
        self.n_features, self.k, self.coordinates = n_features, k, list(coordinates)
        sizes = [n_features, *(block[-1] for block in blocks)]
        self.norm = nn.BatchNorm1d(n_features)
        self.blocks = nn.ModuleList(EdgeConv(size, block) for size, block in zip(sizes, blocks, strict=False))
        self.head = nn.Sequential(
            nn.Linear(sizes[-1], hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, n_outputs)
        )

    def forward(self, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return the outputs of each jet, (N, K), without a last activation.

        Parameters
        ----------
        x : (T, F) float tensor
        counts : (N,) int64 tensor

        Raises
        ------
        ValueError
            If `x` has another number of columns, or the counts do not add up to its rows.
        """
        check_packed(x, counts, self.n_features)
        points, x = x[:, self.coordinates], self.norm(x)  # (T, 2), (T, F)
        for block in self.blocks:
            x = block(x, *neighbours(points, counts, self.k))  # (T, C)
            points = x  # the next graph is drawn where this block has put the constituents
        return self.head(pool(x, counts, "mean"))  # (N, C) -> (N, K)
