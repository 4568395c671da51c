"""One training of a network on sets, four ways: padded one jet at a time, padded, trimmed, packed.

Run with ``pytest -n 0 -s benchmarks/bench_training.py``: numbers in brackets are ratios to the fastest of the group.
The network is the same everywhere, 4 -> 64, 64, 64 -> 64 | 64, 64, 64 -> 1, and so are the jets, 50 constituents on
average and up to 150, the batch of 1024 and the optimiser. What no training can beat stands beside: its matrix
products, forward and backward, without activations, pooling, gathering and steps.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from coursekit import training
from coursekit.jets import N_MAX, pad
from coursekit.jets.packed import PackedJets
from coursekit.nets.deepsets import DeepSets
from coursekit.training import train

BATCH = 1024
SETTINGS = {"epochs": 1, "batch_size": BATCH, "schedule": "constant", "learning_rate": 1e-3}


def make_jets(n, mean=50):
    rng = np.random.default_rng(1)
    counts = np.clip(rng.normal(mean, 0.36 * mean, n).astype(int), 1, 3 * mean)
    return rng.normal(size=(counts.sum(), 4)).astype(np.float32), counts, np.arange(n) % 2


def build():
    torch.manual_seed(1)
    return DeepSets(4, phi=(64, 64, 64), latent=64, rho=(64, 64, 64))


# --- four trainings ---------------------------------------------------------------------------------------------------


class PaddedJets(Dataset):
    """Jets as tutorials hold them: padded, and handed out one after the other."""

    def __init__(self, features, counts, labels):
        self.features, self.counts, self.labels = pad(features, counts), counts, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        mask = np.arange(N_MAX) < self.counts[i]
        return torch.from_numpy(self.features[i]), torch.from_numpy(mask), torch.tensor(self.labels[i]).float()


def steps(batches):
    """Train on batches of padded jets (B, P, 4), masks (B, P) and labels (B,)."""
    net = build()
    optimizer = torch.optim.AdamW(net.parameters(), SETTINGS["learning_rate"], weight_decay=0.0)
    for features, mask, labels in batches:
        latent = (net.phi(features) * mask[..., None]).sum(dim=1)
        loss = nn.functional.binary_cross_entropy_with_logits(net.rho(latent)[:, 0], labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return net


def padded_one_by_one(features, counts, labels):
    return steps(DataLoader(PaddedJets(features, counts, labels), batch_size=BATCH, shuffle=True))


def padded(features, counts, labels, trim=False):
    everything = torch.from_numpy(pad(features, counts))
    counts, labels = torch.from_numpy(counts), torch.from_numpy(labels).float()

    def batches():
        for index in torch.randperm(len(counts)).split(BATCH):
            length = int(counts[index].max()) if trim else N_MAX
            mask = torch.arange(length) < counts[index, None]
            yield everything[index, :length], mask, labels[index]

    return steps(batches())


def trimmed(features, counts, labels):
    return padded(features, counts, labels, trim=True)


def packed(features, counts, labels):
    jets = PackedJets(features, counts, labels)
    net = build()
    train(net, jets, jets[:2], **SETTINGS)
    return net


def bare_products(features, counts, labels):
    """X W, G W^T and X^T G of each layer, on as many rows at once as `train` takes."""
    net = build()
    sizes = {
        name: [(m.in_features, m.out_features) for m in getattr(net, name) if isinstance(m, nn.Linear)]
        for name in ("phi", "rho")
    }
    for part in torch.from_numpy(counts).split(training._CPU_JETS):
        for name, rows in (("phi", int(part.sum())), ("rho", len(part))):
            for n_in, n_out in sizes[name]:
                x, w, g = torch.ones(rows, n_in), torch.ones(n_in, n_out), torch.ones(rows, n_out)
                x @ w, x.T @ g
                if n_in != 4:  # nobody needs the gradient of the inputs
                    g @ w.T


WAYS = {function.__name__: function for function in (padded_one_by_one, padded, trimmed, packed, bare_products)}


@pytest.mark.benchmark(group="one epoch of 8192 jets")
@pytest.mark.parametrize("way", WAYS)
def test_speed(benchmark, way):
    """Packed should be at least 15 times as fast as one by one, and at most twice as slow as the products."""
    jets = make_jets(8192)
    rounds = 1 if way.startswith("padded") else 5
    benchmark.pedantic(WAYS[way], jets, rounds=rounds, warmup_rounds=0 if rounds == 1 else 1)
    print(f"\n{way}: {8192 / benchmark.stats['min']:,.0f} jets/s")


# --- pooling ----------------------------------------------------------------------------------------------------------


def by_index_add(values, counts):
    jet = torch.repeat_interleave(counts, output_size=len(values))
    return values.new_zeros(len(counts), values.shape[1]).index_add(0, jet, values)


def by_segments(values, counts):
    return torch.segment_reduce(values, "sum", lengths=counts, initial=0)


@pytest.mark.benchmark(group="pooling of 1024 jets, forward and backward")
@pytest.mark.parametrize("pool", [by_index_add, by_segments])
def test_pooling(benchmark, pool):
    counts = torch.from_numpy(make_jets(BATCH)[1])
    values = torch.randn(int(counts.sum()), 64, requires_grad=True)
    benchmark(lambda: pool(values, counts).sum().backward())


# --- memory -----------------------------------------------------------------------------------------------------------


def status(name):
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.benchmark(group="peak memory, in the table of --benchmark-json")
@pytest.mark.parametrize("mean", [50, 25])
@pytest.mark.parametrize("way", ["padded_one_by_one", "padded", "trimmed", "packed"])
def test_memory(benchmark, way, mean):
    """What 32 768 jets need beside the libraries and themselves: padding costs the same for jets of half the length."""
    command = [sys.executable, __file__, way, str(mean)]
    # Blocks of a megabyte go back to the system when they are freed: counted is what is in use, not what malloc keeps.
    options = {"stdout": subprocess.PIPE, "check": True, "env": os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}}
    done = benchmark.pedantic(subprocess.run, (command,), options, rounds=1)
    benchmark.extra_info |= json.loads(done.stdout)
    print(f"\n{way}, {mean} constituents a jet: {benchmark.extra_info['peak_bytes'] / 1e6:.0f} MB")


if __name__ == "__main__":
    WAYS["packed"](*make_jets(4))  # the libraries' own memory, before anything is measured
    jets, before = make_jets(32_768, int(sys.argv[2])), status("VmRSS")
    WAYS[sys.argv[1]](*jets)
    print(json.dumps({"peak_bytes": status("VmHWM") - before}))
