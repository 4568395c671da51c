"""Trainings on events that do not fit in memory: what the same events in memory give, where order does not matter."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from coursekit.study.dataset import load_dataset  # noqa: E402
from coursekit.study.training import train_one  # noqa: E402
from tests.study.events_of_studies import columns, root_file, study  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Makes a study, its dataset in memory and the same streamed, in chunks of a few hundred events."""
    for module in ("stored", "dataset", "streaming", "view"):
        monkeypatch.setattr(f"coursekit.study.{module}.CHUNK", 400)
    files = [root_file(tmp_path / f"{name}.root", columns(600, seed, seed)) for name, seed in (("s", 1), ("b", 2))]
    samples = {"s": {"files": [files[0]]}}, {"b": files[1]}

    def load(train, **changes):
        loaded = []
        for memory in ("1GB", "1kB"):
            settings = study(*samples, features=["pt", "sv_mass"], **changes, memory=memory, train=train)
            loaded.append((settings, load_dataset(settings)))
        return loaded

    return load


@pytest.mark.parametrize("task", [{}, {"task": "regression"}])
def test_one_step_with_all_events_is_that_of_memory(both, task):
    train = {"options": {"hidden": [8]}, "optimiser": {"name": "sgd", "learning_rate": 0.1}, "epochs": 1, **task}
    target = {"target": "eta"} if task else {}
    whole = both(train, **target)[0][1]
    train["batch_size"] = len(whole.view().training)  # one step, which no order of the events changes
    loaded = both(train, **target)
    assert [dataset.streamed for _, dataset in loaded] == [False, True]
    found = [train_one(*one, seed=1) for one in loaded]
    np.testing.assert_allclose(found[0].scores, found[1].scores, rtol=1e-4, atol=1e-6)
    memory, streamed = (one.training.history for one in found)
    assert streamed["val_loss"] == pytest.approx(memory["val_loss"], rel=1e-4)
    assert streamed.keys() == memory.keys()
    if not task:
        assert streamed["val_auc"] == pytest.approx(memory["val_auc"], rel=1e-4)


def test_the_same_seed_gives_the_same_network(both):
    settings, dataset = both({"options": {"hidden": [8]}, "batch_size": 64, "epochs": 2})[1]
    one, same = (train_one(settings, dataset, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.scores, same.scores)
    assert one.training.history == same.training.history


def test_what_needs_all_events_in_memory_says_so(both, tmp_path):
    with pytest.raises(ValueError, match=r"boosted_trees have to see all events in memory.*memory \(1kB\): raise"):
        both({"network": "boosted_trees"})
    pytest.importorskip("torch", exc_type=ImportError)
    (tmp_path / "nets.py").write_text(
        "def mine(n, k):\n    import torch\n\n    return torch.nn.Linear(n, k)\n", encoding="utf-8"
    )
    settings, dataset = both({"network": f"{tmp_path / 'nets.py'}:mine", "batch_size": 64})[1]
    with pytest.raises(ValueError, match=r"mine has to see all events in memory.*input.memory \(1kB\): raise"):
        train_one(settings, dataset, seed=1)
