"""The ways that a reader of the lessons goes with the package, as short as they should be."""

import numpy as np
import pytest

import coursekit
from coursekit.jets import features, load_jets, relative_features
from coursekit.metrics import auc

torch = pytest.importorskip("torch")


def test_from_simulated_jets_to_the_scores_of_a_particle_flow_network(monkeypatch):
    packings, pack = [], features.pack
    monkeypatch.setattr(features, "pack", lambda jets: packings.append(len(jets)) or pack(jets))

    from coursekit.jets.packed import PackedJets
    from coursekit.nets.deepsets import DeepSets
    from coursekit.training import predict, train

    jets, labels = load_jets(coursekit.fetch("toptag_train.h5"), stop=3000)
    packed = PackedJets(*relative_features(jets, upright=True), labels)
    torch.manual_seed(1)
    network = DeepSets(n_features=7, phi=(32,), latent=32, rho=(32,))
    train(network, packed[:2250], packed[2250:2500], epochs=8, batch_size=64)
    score = predict(network, packed[2500:])[:, 0]

    assert packings == [3000]  # once
    assert score.dtype == np.float32
    assert auc(labels[2500:], score).value > 0.85
