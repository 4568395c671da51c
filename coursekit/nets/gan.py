r"""A generative adversarial network of jets as sets: generator and critic are both Deep Sets.

A jet of n constituents is n packed rows, its *points*: the logarithm of the constituent's share z in the jet's pT and
its two angles to the jet's axis, see `to_points`. The generator makes points of noise. The critic gives each jet a
number, and learns to give true jets larger ones than generated jets. As long as it nowhere rises faster than with slope
one, the difference of its two means cannot exceed the Wasserstein distance between true and generated jets, the least
mean way that points have to be moved to make the ones of the others; a penalty on the gradient sees to that.

References
----------
M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein GAN", arXiv:1701.07875.
I. Gulrajani et al., "Improved training of Wasserstein GANs", arXiv:1704.00028.
"""

import numpy as np

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError('networks on sets need PyTorch: pip install "coursekit[torch]"') from error

from coursekit.arrays import plain
from coursekit.nets.deepsets import pool

#: The unit of the angles of points, in radians: a step of one is as large among the constituents of a jet of 600 GeV in
#: an angle as in log z. The slope of the critic, and with it the distance that it measures, depends on this choice.
ANGLE = 0.2
# Where log z lies, and how many constituents a jet has: the networks see numbers of order one. Constants, not means of
# a sample: nothing to fit, the same for any sample.
_LOG_Z, _COUNT, _COUNT_SPREAD = -4.0, 30.0, 20.0


def to_points(z, eta, phi) -> torch.Tensor:
    """Make the points of jets: the columns log z, eta / 0.2 and phi / 0.2.

    Parameters
    ----------
    z : (T,) array_like
        Share of each constituent in the summed pT of its jet, above zero; the shares of a jet add up to one.
    eta, phi : (T,) array_like
        Angles relative to the jet's centroid, so that their means weighted with z are zero; radians.

    Returns
    -------
    (T, 3) float32 tensor

    Raises
    ------
    ValueError
        If a share is not above zero, a value is missing, NaN, infinite or no number, or the lengths differ.

    Examples
    --------
    >>> to_points([1.0], [0.0], [0.1]).tolist()
    [[0.0, 0.0, 0.5]]
    """
    z, eta, phi = (_column(*item) for item in {"z": z, "eta": eta, "phi": phi}.items())
    if not z.shape == eta.shape == phi.shape:
        shapes = [tuple(column.shape) for column in (z, eta, phi)]
        raise ValueError(f"expected z, eta and phi of one length, (T,) each, got {shapes}")
    if not (z > 0).all():
        raise ValueError(f"{(~(z > 0)).sum()} of {len(z)} shares z are zero, negative or NaN: drop such constituents")
    for name, column in (("z", z), ("eta", eta), ("phi", phi)):
        if not column.isfinite().all():
            raise ValueError(f"{(~column.isfinite()).sum()} of {len(z)} values of {name} are NaN or infinite")
    return torch.stack([z.log(), eta / ANGLE, phi / ANGLE], dim=1).float()


def _column(name: str, values) -> torch.Tensor:
    if not isinstance(values, torch.Tensor):
        values = plain(values, name)
        if values.ndim != 1 or not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
            found = f"{values.shape}, {values.dtype}" if isinstance(values, np.ndarray) else values.type
            raise ValueError(f"expected {name} as an array of numbers, (T,), got {found}")
        values = torch.from_numpy(values.astype(np.float64))
    return values.double()


def from_points(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return z, eta and phi of points, (T,) float64 each on the CPU; the inverse of `to_points`.

    Examples
    --------
    >>> [column.tolist() for column in from_points(torch.tensor([[0.0, 0.0, 0.5]]))]
    [[1.0], [0.0], [0.1]]
    """
    log_z, eta, phi = points.detach().cpu().double().unbind(dim=1)
    return log_z.exp(), eta * ANGLE, phi * ANGLE


class Generator(nn.Module):
    """Make jets of noise: a set of random points goes in, a set of constituents comes out.

    Each constituent starts as a random point of a cloud and is moved by networks that see its noise, the noise of its
    jet, the number of constituents and the mean over the others. What is true of every jet need not be learned: the
    shares in the pT are positive and add up to one, and the centroid lies at the origin, by construction.

    Parameters
    ----------
    width : int
        Units of every hidden layer.
    n_noise : int
        J, random numbers of a jet: they decide what all its constituents have in common.
    n_point_noise : int
        M, random numbers of a constituent, at least three: the first three are where it starts.

    Raises
    ------
    ValueError
        For a size below one, or fewer than three numbers of a constituent.

    Examples
    --------
    >>> counts = torch.tensor([2, 3])
    >>> points = Generator(width=8).sample(counts, torch.Generator().manual_seed(1))
    >>> points.shape, round(points[:2, 0].exp().sum().item(), 3)
    (torch.Size([5, 3]), 1.0)
    """

    def __init__(self, width: int = 32, n_noise: int = 16, n_point_noise: int = 8):
        super().__init__()
        if width < 1 or n_noise < 1 or n_point_noise < 3:
            raise ValueError(
                f"expected width and n_noise of at least 1 and n_point_noise of at least 3, "
                f"got {width}, {n_noise} and {n_point_noise}"
            )
        self.n_noise, self.n_point_noise = n_noise, n_point_noise
        self.jet = nn.Sequential(nn.Linear(n_noise + 1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.first = _RowAndJet(n_point_noise, width, width)
        self.second = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.context = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU())
        self.third = _RowAndJet(width, width, width)
        self.last = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3))

    def forward(self, noise: torch.Tensor, point_noise: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Turn noise into points.

        Parameters
        ----------
        noise : (N, J) float tensor
        point_noise : (T, M) float tensor
        counts : (N,) int64 tensor
            Constituents of each jet; their sum is T.

        Returns
        -------
        (T, 3) float tensor
            Points as of `to_points`. Another order of the rows of a jet gives the same points in that order.

        Raises
        ------
        ValueError
            If the shapes do not fit together.
        """
        if (
            noise.shape != (len(counts), self.n_noise)
            or point_noise.ndim != 2
            or point_noise.shape[1] != self.n_point_noise
        ):
            raise ValueError(
                f"expected noise ({len(counts)}, {self.n_noise}) and point_noise (T, {self.n_point_noise}), "
                f"got {tuple(noise.shape)} and {tuple(point_noise.shape)}"
            )
        _check_counts(point_noise, counts)
        noise, point_noise = (x.to(self.last[0].weight.dtype) for x in (noise, point_noise))
        jet = self.jet(torch.cat([noise, _scaled(counts).to(noise.dtype)], dim=1))  # (N, W)
        rows = self.second(self.first(point_noise, jet, counts))  # (T, W)
        jet = self.context(torch.cat([jet, pool(rows, counts, "mean")], dim=1))
        return _as_jets(point_noise[:, :3] + self.last(self.third(rows, jet, counts)), counts)

    def sample(self, counts: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Make a jet of each number of constituents, (N,) int64 -> (T, 3) points, with noise of a CPU generator."""
        noise = torch.randn(len(counts), self.n_noise, generator=generator)
        point_noise = torch.randn(int(counts.sum()), self.n_point_noise, generator=generator)
        return self(noise.to(counts.device), point_noise.to(counts.device), counts)


class Critic(nn.Module):
    r"""Give each jet a number that shall be larger for true jets: Deep Sets with two sums.

    .. math:: f = \rho\Big(\sum_i \phi(x_i) / 30, \; \sum_i z_i\, \phi(x_i), \; n\Big)

    The first counts every constituent, the second by its share of the momentum, which is what the mass and the leading
    constituent depend on.

    Parameters
    ----------
    width : int
        Units of the layers of phi; those of rho have twice as many.

    Raises
    ------
    ValueError
        For a width below one.

    Examples
    --------
    >>> Critic(width=8)(torch.zeros(5, 3), torch.tensor([2, 3])).shape
    torch.Size([2])
    """

    def __init__(self, width: int = 32):
        super().__init__()
        if width < 1:
            raise ValueError(f"expected a width of at least 1, got {width}")
        self.phi = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.rho = nn.Sequential(
            nn.Linear(2 * width + 1, 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, 1),
        )

    def forward(self, points: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Judge jets: points (T, 3) and counts (N,) to (N,); ValueError if the shapes do not fit together."""
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"expected points (T, 3), got {tuple(points.shape)}")
        _check_counts(points, counts)
        points = points.to(self.phi[0].weight.dtype)
        log_z, angles = points[:, :1], points[:, 1:]
        rows = self.phi(torch.cat([log_z - _LOG_Z, angles], dim=1))
        sums = pool(torch.cat([rows / _COUNT, log_z.exp() * rows], dim=1), counts)
        return self.rho(torch.cat([sums, _scaled(counts).to(sums.dtype)], dim=1))[:, 0]


def gradient_penalty(critic, real, fake, counts, mix) -> torch.Tensor:
    r"""Return how far the slope of a critic is from one, on the way between true and generated jets.

    .. math:: \Big\langle \big(\lVert \nabla_{\hat x} f(\hat x) \rVert - 1\big)^2 \Big\rangle, \qquad
        \hat x = \epsilon\, x_\mathrm{real} + (1 - \epsilon)\, x_\mathrm{fake},

    where the norm of a jet goes over all its points and columns, and the mean over jets.

    Parameters
    ----------
    critic : callable
        ``critic(points, counts)`` returns (N,).
    real, fake : (T, 3) float tensors
        Points of true and generated jets with the same numbers of constituents.
    counts : (N,) int64 tensor
    mix : (N,) float tensor
        The epsilon of each jet, random in [0, 1].

    Returns
    -------
    () tensor
        Differentiable with respect to the parameters of the critic.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    References
    ----------
    I. Gulrajani et al., arXiv:1704.00028, eq. (3).

    Examples
    --------
    >>> def steep(points, counts):
    ...     return pool(3 * points[:, 1:2], counts)[:, 0]
    >>> x, counts = torch.rand(4, 3), torch.tensor([4])
    >>> round(gradient_penalty(steep, x, x + 1, counts, torch.tensor([0.5])).item(), 3)  # slope 3 * sqrt(4 points)
    25.0
    """
    if real.shape != fake.shape or mix.shape != counts.shape:
        raise ValueError(
            "expected real and fake of one shape and a mix for each jet, got "
            f"{tuple(real.shape)}, {tuple(fake.shape)}, {tuple(mix.shape)} for {len(counts)} jets"
        )
    of_row = torch.repeat_interleave(mix, counts)[:, None]
    between = (of_row * real + (1 - of_row) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, counts).sum(), between, create_graph=True)
    squared = pool(slope.square().sum(dim=1, keepdim=True), counts)[:, 0]
    return ((squared + 1e-12).sqrt() - 1).square().mean()  # the root has no slope at zero


class _RowAndJet(nn.Module):
    """A layer that sees a row and its jet: as if both stood side by side, but the jet's part is computed once."""

    def __init__(self, n_row: int, n_jet: int, n_outputs: int):
        super().__init__()
        self.row, self.jet = nn.Linear(n_row, n_outputs), nn.Linear(n_jet, n_outputs, bias=False)

    def forward(self, rows, jet, counts):
        return torch.relu(self.row(rows) + _per_row(self.jet(jet), counts, len(rows)))


def _as_jets(points: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Shift each jet so that its shares add up to one and its centroid is the origin, (T, 3) -> (T, 3)."""
    log_z, angles = points[:, :1], points[:, 1:]
    # The largest of each jet becomes zero first, so that no exponential overflows.
    jet = torch.repeat_interleave(counts, output_size=len(points))
    lowest = log_z.new_full((len(counts),), -torch.inf)
    largest = lowest.scatter_reduce(0, jet, log_z.detach()[:, 0], "amax")
    log_z = log_z - _per_row(largest[:, None], counts, len(points))
    log_z = log_z - _per_row(pool(log_z.exp(), counts).log(), counts, len(points))
    return torch.cat([log_z, angles - _per_row(pool(log_z.exp() * angles, counts), counts, len(points))], dim=1)


def _per_row(values: torch.Tensor, counts: torch.Tensor, n_rows: int) -> torch.Tensor:
    return torch.repeat_interleave(values, counts, dim=0, output_size=n_rows)


def _scaled(counts: torch.Tensor) -> torch.Tensor:
    return (counts[:, None] - _COUNT) / _COUNT_SPREAD


def _check_counts(rows: torch.Tensor, counts: torch.Tensor) -> None:
    if counts.ndim != 1 or counts.sum() != len(rows):
        raise ValueError(
            f"counts (N,) must add up to the {len(rows)} rows; got shape {tuple(counts.shape)}, sum {int(counts.sum())}"
        )
