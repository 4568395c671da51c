"""The networks of a study: by name, or from a function of one's own; built, and looked at before they are trained."""

from collections.abc import Iterable

from coursekit.words import listed, near

#: What each network may be told, besides the sizes of its inputs and outputs: known here so that a study file can be
#: read without loading a framework. A test compares them with the builders.
OPTIONS = {
    "dense": ("hidden", "activation", "dropout"),
    "cnn": ("filters", "dense", "dropout"),
    "deep_sets": ("phi", "latent", "rho", "pooling"),
    "energy_flow": ("phi", "latent", "rho"),
    "boosted_trees": (
        *("max_iter", "learning_rate", "max_leaf_nodes", "max_depth", "min_samples_leaf", "l2_regularization"),
        *("max_features", "max_bins"),
    ),
}


def require_options(network: str, options: Iterable[str]) -> None:
    """Refuse a network that does not exist, or options that it does not have, as far as that costs nothing.

    Parameters
    ----------
    network : str
        A name, or ``module:function``, whose options are looked at when it is built.
    options : iterable of str

    Raises
    ------
    ValueError
        There is no such network, or no such option.

    Examples
    --------
    >>> require_options("dense", ["droput"])
    Traceback (most recent call last):
        ...
    ValueError: the network dense has no option 'droput'; did you mean 'dropout'? It has hidden, activation, dropout
    """
    if ":" in network:
        module, _, function = network.partition(":")
        if not all(part.isidentifier() for part in [*module.split("."), function]):
            raise ValueError(
                f"{network!r} is no function of a module: write module:function, such as nets:mine for the function "
                "`mine` in nets.py beside the study file"
            )
        return
    if network not in OPTIONS:
        raise ValueError(
            f"there is no network {network!r};{near(network, OPTIONS)} There are {listed(OPTIONS)}, and your own as "
            "module:function"
        )
    _require_known(network, options, OPTIONS[network])


def _require_known(network: str, options: Iterable[str], known: Iterable[str]) -> None:
    for name in options:
        if name not in known:
            raise ValueError(f"the network {network} has no option {name!r};{near(name, known)} It has {listed(known)}")
