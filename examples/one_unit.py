"""An own network for a study, named as ``one_unit:build``: the one that lesson 04 begins with, bad on purpose."""

import keras


def build(n_inputs, n_outputs):
    """Return one linear unit: a weighted sum of the inputs, and nothing that bounds it."""
    return keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs)])
