"""Jets as sets: Deep Sets, also called Particle Flow Network, and the Energy Flow Network, in PyTorch.

Both take packed constituents, `x` (T, F) with one row per constituent and `counts` (N,) with the rows of each jet, and
pool them jet by jet. There is no padding, so there is nothing to mask, and a jet without constituents is a sum of zero.

References
----------
M. Zaheer et al., "Deep Sets", arXiv:1703.06114.
P. T. Komiske, E. M. Metodiev, J. Thaler, "Energy Flow Networks: Deep Sets for Particle Jets", arXiv:1810.05165.
"""

from collections.abc import Sequence
from itertools import pairwise

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError('networks on sets need PyTorch: pip install "coursekit[torch]"') from error

from coursekit.nets.groups import check_packed


def pool(values: torch.Tensor, counts: torch.Tensor, pooling: str = "sum") -> torch.Tensor:
    """Add up (or average) the rows of each jet.

    Parameters
    ----------
    values : (T, L) tensor
        One row per constituent, the jets one after the other. Half-precision rows are summed in float32.
    counts : (N,) int64 tensor
        Rows of each jet; their sum is T.
    pooling : {"sum", "mean"}

    Returns
    -------
    (N, L) tensor
        Zero for a jet without rows.

    Notes
    -----
    By ``index_add``: on a CPU three times faster than ``torch.segment_reduce``, forward and backward, and unlike that
    differentiable twice, which a gradient penalty needs. On a GPU the order of its sums, and with it the last digit,
    varies from run to run unless ``torch.use_deterministic_algorithms(True)``.

    Examples
    --------
    >>> pool(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([2, 0, 1])).tolist()
    [[3.0], [0.0], [4.0]]
    """
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    jet = torch.repeat_interleave(counts, output_size=values.shape[0])  # (T,): 0 0 2 for counts 2 0 1
    sums = values.new_zeros(counts.shape[0], values.shape[1]).index_add(0, jet, values)  # (N, L)
    return sums / counts.clamp(min=1)[:, None] if pooling == "mean" else sums


class DeepSets(nn.Module):
    r"""Deep Sets: a network for each constituent, a sum, a network for the jet.

    .. math:: f(\{x_1, \dots, x_n\}) = \rho\Big(\sum_{i=1}^{n} \phi(x_i)\Big)

    Any function of a set that does not depend on the order of its elements can be written so. For jets it is the
    Particle Flow Network.

    Parameters
    ----------
    n_features : int
        F, the columns of `x`.
    phi : sequence of int
        Units of the hidden layers of the network for a constituent.
    latent : int
        L, the numbers that describe a constituent and, summed, the jet.
    rho : sequence of int
        Units of the hidden layers of the network for the jet.
    n_outputs : int
        K: 1 for two classes (a logit, to be used with a loss on logits), or as many numbers as a regression wants.
    pooling : {"sum", "mean"}
        A mean forgets how many constituents there are.

    Raises
    ------
    ValueError
        For a size below one or another pooling.

    Examples
    --------
    >>> net = DeepSets(n_features=3)
    >>> net(torch.ones(5, 3), torch.tensor([2, 3])).shape  # two jets, of two and three constituents
    torch.Size([2, 1])
    """

    def __init__(
        self,
        n_features: int,
        phi: Sequence[int] = (64, 64),
        latent: int = 64,
        rho: Sequence[int] = (64, 64),
        n_outputs: int = 1,
        pooling: str = "sum",
    ):
        super().__init__()
        if pooling not in ("sum", "mean"):
            raise ValueError(f'pooling must be "sum" or "mean", got {pooling!r}')
        self.n_features, self.pooling = n_features, pooling
        self.phi = nn.Sequential(*_layers(n_features, (*phi, latent)))  # (T, F) -> (T, L)
        self.rho = nn.Sequential(*_layers(latent, rho), nn.Linear((latent, *rho)[-1], n_outputs))  # (N, L) -> (N, K)

    def latent(self, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return what the network knows of each jet, (N, L): the pooled phi of its constituents."""
        check_packed(x, counts, self.n_features)
        return pool(self.phi(x), counts, self.pooling)

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
        return self.rho(self.latent(x, counts).to(x.dtype))


class EnergyFlow(nn.Module):
    r"""Energy Flow Network: Deep Sets whose sum is linear in the momentum, and therefore IRC-safe.

    .. math:: f = \rho\Big(\sum_{i=1}^{n} z_i\, \phi(\hat p_i)\Big)

    with the share z of a constituent in the jet's momentum and its direction. A constituent with z = 0 adds nothing,
    and two with the same direction count as one with the sum of their z, so that neither soft particles nor collinear
    splittings change the result: theory can calculate it.

    Parameters
    ----------
    n_features : int
        F, the columns of `x`: z first, then the F - 1 of the direction, as `coursekit.jets.flow_features` makes them.
    phi, latent, rho, n_outputs
        As in `DeepSets`; phi sees only the direction.

    Raises
    ------
    ValueError
        For a size below one, or without a direction.

    Examples
    --------
    >>> net = EnergyFlow(n_features=3)
    >>> jet = torch.tensor([[0.75, 0.1, 0.2], [0.25, -0.1, 0.3]])
    >>> split = torch.tensor([[0.75, 0.1, 0.2], [0.15, -0.1, 0.3], [0.10, -0.1, 0.3]])
    >>> torch.allclose(net(jet, torch.tensor([2])), net(split, torch.tensor([3])))
    True
    """

    def __init__(
        self,
        n_features: int = 3,
        phi: Sequence[int] = (64, 64),
        latent: int = 64,
        rho: Sequence[int] = (64, 64),
        n_outputs: int = 1,
    ):
        super().__init__()
        if n_features < 2:
            raise ValueError(f"x needs a column z and at least one of the direction, got n_features = {n_features}")
        self.n_features = n_features
        self.phi = nn.Sequential(*_layers(n_features - 1, (*phi, latent)))  # (T, F - 1) -> (T, L)
        self.rho = nn.Sequential(*_layers(latent, rho), nn.Linear((latent, *rho)[-1], n_outputs))  # (N, L) -> (N, K)

    def filters(self, directions: torch.Tensor) -> torch.Tensor:
        """Return phi of directions, (M, F - 1) -> (M, L): each of the L columns is a picture of the eta-phi plane."""
        return self.phi(directions)

    def latent(self, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return the L energy-weighted sums of each jet, (N, L): observables that are IRC-safe one by one."""
        check_packed(x, counts, self.n_features)
        return pool(x[:, :1] * self.filters(x[:, 1:]), counts)

    def forward(self, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return the outputs of each jet, (N, K); parameters and raises as in `DeepSets.forward`."""
        return self.rho(self.latent(x, counts).to(x.dtype))


def _layers(n_inputs: int, units: Sequence[int]) -> list[nn.Module]:
    """Return linear layers, each followed by a rectifier."""
    sizes = (n_inputs, *units)
    if min(sizes) < 1:
        raise ValueError(f"every layer needs at least one input and one unit, got {sizes}")
    return [
        layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU(inplace=True))
    ]  # saves memory traffic
