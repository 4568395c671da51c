r"""The Particle Transformer: each constituent attends to all others, and pairs have a say in how much.

.. math:: \mathrm{attention}(Q, K, V) = \mathrm{softmax}\Big(\frac{Q K^T}{\sqrt d} + U\Big) V

where U is the bias that a small network makes of four numbers of each pair of constituents,

.. math:: \ln \Delta, \quad \ln k_T = \ln (\min(p_{T,a}, p_{T,b})\, \Delta), \quad
    \ln z = \ln \frac{\min(p_{T,a}, p_{T,b})}{p_{T,a} + p_{T,b}}, \quad \ln m^2

with their distance Delta in rapidity and azimuth and their invariant mass m. At the end a class token, a vector that is
learned, attends to all constituents of the jet, and what it has gathered is the answer.

References
----------
H. Qu, C. Li, S. Qian, "Particle Transformer for Jet Tagging", arXiv:2202.03772, section 4.
A. Vaswani et al., "Attention Is All You Need", arXiv:1706.03762, equation 1.
H. Touvron et al., "Going deeper with Image Transformers", arXiv:2103.17239 (class attention).
"""

from collections.abc import Iterator

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as error:
    raise ImportError('networks with attention need PyTorch: pip install "coursekit[torch]"') from error

from coursekit.nets.groups import check_packed, grouped, in_slots

# Instead of minus infinity, so that a jet without constituents gives no NaN; exp(-1e4) is zero.
_NEVER = -1e4


def pair_features(d_eta: torch.Tensor, d_phi: torch.Tensor, log_pt: torch.Tensor) -> torch.Tensor:
    """Return ln Delta, ln kT, ln z and ln m^2 of pairs of massless constituents.

    Parameters
    ----------
    d_eta, d_phi, log_pt : (..., 2) float tensors
        Of both constituents: rapidity and azimuth relative to any axis, in radians, and the logarithm of pT in any unit
        of momentum, which becomes that of kT and m.

    Returns
    -------
    (..., 4) float tensor
        Two constituents in the same place count as 1e-4 apart.

    Examples
    --------
    >>> zero = torch.zeros(2)
    >>> features = pair_features(torch.tensor([0.3, 0.0]), torch.tensor([0.0, 0.4]), torch.tensor([3.0, 1.0]).log())
    >>> [round(float(f), 3) for f in features.exp()]  # 0.5; 1 GeV x 0.5; 1 / (1 + 3); nearly 3 GeV^2 x 0.25
    [0.5, 0.5, 0.25, 0.746]
    """
    eta, phi = (values[..., 0] - values[..., 1] for values in (d_eta, d_phi))
    softer, both = torch.minimum(*log_pt.unbind(dim=-1)), log_pt.sum(dim=-1)
    log_delta = (eta**2 + phi**2).clamp(min=1e-8).log() / 2
    ratio = 2 * softer - both  # ln of the softer pT over the harder one
    # cosh(eta) - cos(phi), without the difference of two numbers close to one
    opening = (2 * (eta / 2).sinh() ** 2 + 2 * (phi / 2).sin() ** 2).clamp(min=0.5e-8)
    mass = both + (2 * opening).log()
    # One feature after the other in memory, which suits what comes next.
    return torch.stack([log_delta, softer + log_delta, ratio - ratio.exp().log1p(), mass]).movedim(0, -1)


def _feed_forward(width: int, expansion: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
    )


class Attention(nn.Module):
    """Multi-head attention of `queries` (n, Q, W) to `keys` (n, P, W) with a bias, and the dense layers behind it.

    Parameters
    ----------
    width : int
        W.
    heads : int
        Parts of the width that attend each in its own way; a divisor of W.
    expansion : int
        Units of the hidden dense layer, as a multiple of W.
    """

    def __init__(self, width: int, heads: int, expansion: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.dense = _feed_forward(width, expansion)

    def _split(self, values: torch.Tensor) -> torch.Tensor:
        return values.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (n, P, W) -> (n, H, P, W / H)

    def forward(self, queries: torch.Tensor, keys: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Return the new queries, (n, Q, W); the bias is (n, H or 1, Q or 1, P)."""
        normed = self.norm(keys)
        weights = self._weights(normed if queries is keys else self.norm(queries), normed, bias)
        mixed = weights @ self._split(self.value(normed))  # (n, H, Q, W / H)
        queries = queries + self.out(torch.cat(mixed.unbind(dim=1), dim=2))
        return queries + self.dense(queries)

    def weights(self, queries: torch.Tensor, keys: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Return how much each query attends to each key, (n, H, Q, P), which adds up to one: to be looked at."""
        return self._weights(self.norm(queries), self.norm(keys), bias)

    def _weights(self, queries: torch.Tensor, keys: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        # With a bias that learns, faster than scaled_dot_product_attention, which looks for rows without keys.
        q, k = self._split(self.query(queries)), self._split(self.key(keys))
        return (q @ k.mT / q.shape[3] ** 0.5 + bias).softmax(dim=3)


class ParticleTransformer(nn.Module):
    """Attention between constituents, biased by their pairs, and a class token that reads the jet.

    Parameters
    ----------
    n_features : int
        F, the columns of `x`, the first three of which are d_eta, d_phi and the logarithm of pT, as in
        `coursekit.jets.relative_features`: from these the pairs' features are made.
    width : int
        Numbers that describe a constituent between the layers.
    heads : int
        A divisor of the width.
    layers, class_layers : int
        Of attention between the constituents, and of the class token to them.
    pairs : int
        Hidden units of the network for pairs. There are ten times as many pairs as constituents and more, so that each
        unit costs much time.
    expansion : int
        Units of the hidden dense layers, as a multiple of the width.
    n_outputs : int
        K: 1 for two classes (a logit), or one logit for each class.

    Notes
    -----
    The published one has 128, 8, 8, 2, 64, 4 and three layers for pairs, 2.1 million parameters.

    Raises
    ------
    ValueError
        For a size below one, fewer than three features, or a width that the heads cannot share.

    Examples
    --------
    >>> net = ParticleTransformer(n_features=3)
    >>> net(torch.rand(5, 3), torch.tensor([2, 3])).shape  # two jets, of two and three constituents
    torch.Size([2, 1])
    """

    def __init__(
        self,
        n_features: int = 7,
        width: int = 48,
        heads: int = 4,
        layers: int = 3,
        class_layers: int = 1,
        pairs: int = 8,
        expansion: int = 2,
        n_outputs: int = 1,
    ):
        super().__init__()
        if min(width, heads, layers, class_layers, pairs, expansion, n_outputs) < 1 or n_features < 3 or width % heads:
            raise ValueError(
                "every size is at least 1, n_features at least 3, and the width a multiple of the heads; got "
                f"{n_features = }, {width = }, {heads = }, {layers = }, {class_layers = }, {pairs = }, {expansion = }"
            )
        self.n_features = n_features
        self.embedding = nn.Sequential(nn.Linear(n_features, width), nn.GELU(), nn.Linear(width, width))
        self.pairs = nn.Sequential(nn.Linear(4, pairs), nn.ReLU(inplace=True), nn.Linear(pairs, heads))
        self.layers = nn.ModuleList(Attention(width, heads, expansion) for _ in range(layers))
        self.token = nn.Parameter(torch.zeros(width))
        self.class_layers = nn.ModuleList(Attention(width, heads, expansion) for _ in range(class_layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_outputs))

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
        order, outputs = [], []
        for jets, _, token, keys, bias in self._read(x, counts):
            order.append(jets)
            outputs.append(self.head(self.class_layers[-1](token, keys, bias)[:, 0]))  # (n, K)
        return torch.cat(outputs)[torch.cat(order).argsort()]  # (N, K)

    def attention(self, x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return how much the class token attends to each constituent in the last layer, (T,), the mean of the heads.

        The rest to one, jet by jet, is what it attends to itself.
        """
        found = x.new_zeros(x.shape[0] + 1)  # the last one takes the empty slots
        for _, rows, token, keys, bias in self._read(x, counts):
            found[rows] = self.class_layers[-1].weights(token, keys, bias).mean(dim=1)[:, 0, 1:].to(found.dtype)
        return found[:-1]

    def _read(self, x: torch.Tensor, counts: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield jets, rows, and what the last class layer takes: token (n, 1, W), keys (n, 1 + P, W) and bias."""
        check_packed(x, counts, self.n_features)
        for jets, rows in grouped(counts, x.shape[0]):
            slots = in_slots(x, rows)  # (n, P, F)
            empty = _NEVER * (rows == x.shape[0])[:, None, None].to(x.dtype)  # (n, 1, 1, P)
            bias = self._bias(slots[..., :3]) + empty  # (n, H, P, P)
            h = self.embedding(slots)  # (n, P, W)
            for layer in self.layers:
                h = layer(h, h, bias)
            token, seen = self.token.expand(h.shape[0], 1, -1), F.pad(empty, (1, 0))  # the token sees itself, too
            for layer in self.class_layers[:-1]:
                token = layer(token, torch.cat([token, h], dim=1), seen)
            yield jets, rows, token, torch.cat([token, h], dim=1), seen

    def _bias(self, slots: torch.Tensor) -> torch.Tensor:
        """Return U of each head, (n, H, P, P), from d_eta, d_phi and log pT of the slots, (n, P, 3)."""
        n_jets, n_slots = slots.shape[:2]
        number = torch.arange(n_slots, device=slots.device)
        ends = (number[:, None] >= number).nonzero().unbind(dim=1)  # a pair and its mirror image are one
        columns = slots.mT.contiguous()  # (n, 3, P)
        pairs = torch.stack([columns.index_select(2, end) for end in ends]).movedim(0, -1)  # (n, 3, pairs, 2)
        bias = pair_features(*pairs.unbind(dim=1)).movedim(-1, 1).to(slots.dtype)  # (n, 4, pairs)
        hidden, activation, last = self.pairs
        bias = activation(torch.baddbmm(hidden.bias[:, None], hidden.weight.expand(n_jets, -1, -1), bias))
        bias = torch.baddbmm(last.bias[:, None], last.weight.expand(n_jets, -1, -1), bias)  # (n, H, pairs)
        low, high = torch.minimum(number[:, None], number), torch.maximum(number[:, None], number)
        table = high * (high + 1) // 2 + low  # (P, P): the number of the pair, rows of the triangle one after the other
        return bias.index_select(2, table.flatten()).unflatten(2, (n_slots, n_slots))
