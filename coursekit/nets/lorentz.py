r"""LorentzNet: a network that knows special relativity.

Constituents carry scalars h, which no rotation or boost changes, and four-momenta p. A layer sends messages between all
pairs, made of invariants alone, and moves the momenta along each other:

.. math:: m_{ij} &= \phi_e(h_i, h_j, \psi(|p_i - p_j|^2), \psi(p_i \cdot p_j)), \\
    p_i' &= p_i + \sum_j \phi_x(m_{ij})\, p_j, \\
    h_i' &= h_i + \phi_h\Big(h_i, \sum_j \phi_m(m_{ij})\, m_{ij}\Big)

with the Minkowski product and a logarithm of both signs, :math:`\psi(z) = \mathrm{arsinh}(z)`. So the scalars of a
boosted jet are those of the jet, its vectors are boosted, and the answer stays: the network knows without a single
example what others must learn from data.

References
----------
S. Gong et al., "An Efficient Lorentz Equivariant Graph Neural Network for Jet Tagging", arXiv:2201.08187, equations 3.2
to 3.4.
"""

from collections.abc import Iterator

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError('equivariant networks need PyTorch: pip install "coursekit[torch]"') from error

from coursekit.nets.groups import check_packed, exactly, grouped, in_slots, is_exporting

# GeV: in single precision, smaller masses of jets and energies in their rest frames are rounding errors of large ones.
_SMALLEST_MASS, _SMALLEST_ENERGY = 1.0, 0.01


def minkowski(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the Minkowski product E E' - px px' - py py' - pz pz' of four-momenta (..., 4) = px, py, pz, E.

    Examples
    --------
    >>> photon = torch.tensor([3.0, 0.0, 4.0, 5.0])
    >>> float(minkowski(photon, photon)), float(minkowski(photon, torch.tensor([0.0, 0.0, 0.0, 2.0])))
    (0.0, 10.0)
    """
    product = a * b
    return product[..., 3] - product[..., 0] - product[..., 1] - product[..., 2]


class LorentzLayer(nn.Module):
    """Messages between all pairs of slots; scalars (n, P, C) and momenta (n, P, 4) to new ones.

    Parameters
    ----------
    width : int
        C.
    moves : bool
        Whether the momenta change; those of a last layer would not be read.
    """

    def __init__(self, width: int, moves: bool = True):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        # The first layer of phi_e acts on (h_i, h_j, two products): computed once for each constituent, then added.
        self.of_receiver, self.of_sender = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.of_products = nn.Linear(2, width, bias=False)
        self.message = nn.Linear(width, width)
        self.gate = nn.Linear(width, 1)
        self.scalar = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width))
        self.move = nn.Linear(width, 1, bias=False) if moves else None
        if moves:
            nn.init.normal_(self.move.weight, std=1e-3)  # many small steps add up

    def forward(self, h: torch.Tensor, p: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the new h and p; `real` (n, P) is 1 for a constituent and 0 for an empty slot."""
        products = torch.cat([-p[..., :3], p[..., 3:]], dim=2) @ p.mT  # (n, P, P): receivers, senders
        squares = products.diagonal(dim1=1, dim2=2)
        distances = squares[:, :, None] + squares[:, None] - 2 * products
        normed = self.norm(h)
        # In float16, to which h may have been rounded, the largest of them would be infinite.
        invariants = torch.stack([distances, products], dim=3).to(torch.promote_types(h.dtype, torch.float32)).asinh()
        m = self.of_products(invariants.to(h.dtype))  # (n, P, P, C)
        m = (m + self.of_receiver(normed)[:, :, None] + self.of_sender(normed)[:, None]).relu_()
        m = self.message(m).relu_()
        gates = self.gate(m).sigmoid() * real[:, None, :, None]  # (n, P, P, 1)
        heard = (gates.transpose(2, 3) @ m)[:, :, 0] / 6  # (n, P, C): some 32 senders, 6 is about their square root
        if self.move is not None:
            p = p + (self.move(m)[..., 0] * real[:, None]).to(p.dtype) @ p  # (n, P, 4)
        return h + self.scalar(torch.cat([normed, heard], dim=2)), p


class LorentzNet(nn.Module):
    """Layers of messages between the hardest constituents of a jet, and a dense network on their sums.

    Parameters
    ----------
    width : int
        C, the scalars that describe a constituent.
    layers : int
    hardest : int
        Constituents that take part, those with the largest energy in the rest frame of the jet, which no boost
        changes. The cost rises with their square.
    n_outputs : int
        K: 1 for two classes (a logit), or one logit for each class.

    Notes
    -----
    A width of 72 and 6 layers are the published size (224k parameters), with all constituents. Here the first scalars
    are the energy of a constituent in the rest frame of the jet, its share of the jet's mass, this mass, and the number
    of constituents; the paper
    begins with the masses of the constituents, which tell nothing where a detector takes them all as massless. A layer
    normalisation stands in the place of batch normalisations, and psi is the inverse hyperbolic sine, which unlike the
    paper's sgn(z) ln(1 + abs(z)) has its slope at zero, too.

    Raises
    ------
    ValueError
        For a size below one.

    Examples
    --------
    >>> net = LorentzNet()
    >>> p = torch.rand(5, 4) + torch.tensor([0.0, 0.0, 0.0, 2.0])
    >>> net(p, torch.tensor([2, 3])).shape  # two jets, of two and three constituents
    torch.Size([2, 1])
    """

    n_features = 4  # px, py, pz, E

    def __init__(self, width: int = 24, layers: int = 3, hardest: int = 32, n_outputs: int = 1):
        super().__init__()
        if min(width, layers, hardest, n_outputs) < 1:
            raise ValueError(f"every size is at least 1, got {width = }, {layers = }, {hardest = }, {n_outputs = }")
        self.hardest = hardest
        self.embedding = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(LorentzLayer(width, moves=i < layers - 1) for i in range(layers))
        self.head = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, n_outputs))

    def forward(self, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return the outputs of each jet, (N, K), without a last activation.

        Parameters
        ----------
        x : (T, 4) float tensor, GeV
            px, py, pz, E.
        counts : (N,) int64 tensor

        Raises
        ------
        ValueError
            If `x` has another number of columns, or the counts do not add up to its rows.
        """
        order, outputs = [], []
        for jets, _, h, _, shares, real in self._read(x, counts):
            h = h * real[:, :, None]
            pooled = torch.cat([h.sum(dim=1) / 16, (shares[:, :, None] * h).sum(dim=1)], dim=1)  # (n, 2 C)
            order.append(jets)
            outputs.append(self.head(pooled))
        return torch.cat(outputs)[torch.cat(order).argsort()]  # (N, K)

    def constituents(self, x: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scalars (T, C) and four-momenta (T, 4) as they leave the last layer; those that took no part are zero.

        A Lorentz transformation of `x` leaves the scalars as they are, and transforms the momenta.
        """
        width = self.layers[0].message.out_features
        scalars, momenta = x.new_zeros(x.shape[0] + 1, width), x.new_zeros(x.shape[0] + 1, 4)
        for _, rows, h, p, _, _ in self._read(x, counts):
            scalars[rows], momenta[rows] = h.to(x.dtype), p.to(x.dtype)
        return scalars[:-1], momenta[:-1]

    def _read(self, x: torch.Tensor, counts: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield, group by group, jets, rows, scalars, momenta, shares of the jet's energy and which slots are real."""
        check_packed(x, counts, self.n_features)
        for jets, rows in grouped(counts, x.shape[0], at_least=self.hardest if is_exporting() else 1):
            p = in_slots(exactly(x), rows)  # (n, P, 4)
            jet = p.sum(dim=1, keepdim=True)  # (n, 1, 4)
            mass = minkowski(jet, jet).clamp(min=_SMALLEST_MASS**2).sqrt()  # (n, 1)
            energies = (minkowski(p, jet) / mass).clamp(min=_SMALLEST_ENERGY)  # (n, P): in the rest frame of the jet
            n_kept = self.hardest if is_exporting() else min(self.hardest, rows.shape[1])
            kept = energies.where(rows < x.shape[0], 0).topk(n_kept, dim=1).indices
            # From here on with the new, smaller P
            p = p.gather(1, kept[:, :, None].expand(-1, -1, 4))
            rows, energies = rows.gather(1, kept), energies.gather(1, kept)
            real = (rows < x.shape[0]).to(x.dtype)
            shares = (energies / mass).to(x.dtype) * real
            n_all = counts[jets, None].clamp(min=1).to(p.dtype)  # (n, 1): the soft ones that are left out count, too
            # Offsets so that the numbers are of order one: logarithms of 1 GeV, 2%, 90 GeV and 45
            scalars = [energies.log(), (energies / mass).log() + 4, mass.log() - 4.5, n_all.log() - 3.8]
            scalars = torch.stack([scalar.expand_as(energies) for scalar in scalars], dim=2)  # (n, P, 4)
            h = self.embedding(scalars.to(x.dtype))  # (n, P, C)
            for layer in self.layers:
                h, p = layer(h, p, real)
            yield jets, rows, h, p, shares, real
