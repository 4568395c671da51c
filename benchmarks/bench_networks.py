"""ParticleNet and Particle Transformer in training, beside the code of their authors, weaver-core.

Run with ``pip install --no-deps weaver-core`` (nothing else of it is needed) and
``pytest -n 0 -s benchmarks/bench_networks.py``: numbers in brackets are ratios to the fastest of the group. Jets,
batch, optimiser and sizes of layers are the same. Ours takes packed jets, theirs padded ones: to the longest of the
batch; to 128 as published, where from the sixth batch on their code cuts off the slots that nearly no jet fills; or to
128 without that.

What differs: ParticleNet has the same parameters in both. Their transformer normalises the features of pairs in batches
and has gains and norms of its own inside its layers (2% more parameters); its dropout is off, since ours has none.
"""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from coursekit.jets import load_jets, pack, pad, relative_features
from coursekit.jets.packed import PackedJets
from coursekit.nets.particlenet import ParticleNet
from coursekit.nets.transformer import ParticleTransformer
from coursekit.training import train

WEAVER = "needs weaver-core, the authors' code: pip install --no-deps weaver-core"
TRAINING = Path(__file__).resolve().parent.parent / "data" / "toptag_train.h5"
BATCH, LONGEST = 128, 128
LEARNING_RATE = 1e-3


def weaver_particle_net(blocks, k, hidden, trim):
    module = pytest.importorskip("weaver.nn.model.ParticleNet", reason=WEAVER)
    layers = [(k, block) for block in blocks]
    net = module.ParticleNet(7, 1, layers, [(hidden, 0.1)], use_fusion=False, trim=trim)
    return net, lambda x, momenta, mask: net(x[:, :2], x, mask)


def weaver_transformer(width, heads, layers, class_layers, pairs, expansion, trim):
    module = pytest.importorskip("weaver.nn.model.ParticleTransformer", reason=WEAVER)
    block = {"ffn_ratio": expansion, "dropout": 0, "attn_dropout": 0, "activation_dropout": 0}
    sizes = {"embed_dims": (width, width), "pair_embed_dims": (pairs,), "num_heads": heads, "num_layers": layers}
    sizes |= {"num_cls_layers": class_layers, "block_params": block, "cls_block_params": block}
    net = module.ParticleTransformer(7, 1, **sizes, trim=trim)
    return net, net


LITE = {"k": 7, "blocks": ((32, 32, 32), (64, 64, 64)), "hidden": 128}
FULL = {"k": 16, "blocks": ((64, 64, 64), (128, 128, 128), (256, 256, 256)), "hidden": 256}
SMALL = {"width": 48, "heads": 4, "layers": 3, "class_layers": 1, "pairs": 8, "expansion": 2}
NETWORKS = {
    "ParticleNet-Lite": (partial(ParticleNet, 7, **LITE), partial(weaver_particle_net, **LITE)),
    "ParticleNet": (partial(ParticleNet, 7, **FULL), partial(weaver_particle_net, **FULL)),
    "Particle Transformer": (partial(ParticleTransformer, 7, **SMALL), partial(weaver_transformer, **SMALL)),
}
JETS = {"ParticleNet-Lite": 1024, "ParticleNet": 256, "Particle Transformer": 1024}


def make_jets(n):
    """Return features (T, 7), momenta (T, 4), counts (N,) and labels (N,) of shipped jets."""
    jets, labels = load_jets(TRAINING, 0, n)
    features, counts = relative_features(jets, upright=True)
    return features, pack(jets)[0].astype(np.float32), counts, labels


def ours(name, features, momenta, counts, labels):
    """Train as lessons do: no padding outside the network, and `train` as it is."""
    torch.manual_seed(1)
    jets = PackedJets(features, counts, labels)
    settings = {"epochs": 1, "batch_size": BATCH, "schedule": "constant", "learning_rate": LEARNING_RATE}
    net = NETWORKS[name][0]()
    train(net, jets, jets[:2], **settings)
    return net


def weaver(name, features, momenta, counts, labels, length=LONGEST, trim=True):
    """Train on padded jets, to `length` or, if that is None, to the longest of each batch."""
    torch.manual_seed(1)
    net, call = NETWORKS[name][1](trim=trim)
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=0.0)
    x, p = (torch.from_numpy(pad(part, counts, LONGEST)).mT.contiguous() for part in (features, momenta))  # (N, F, P)
    counts, labels = torch.from_numpy(counts), torch.from_numpy(labels).float()
    for index in torch.randperm(len(counts)).split(BATCH):
        n_slots = length or int(counts[index].max())
        mask = (torch.arange(n_slots) < counts[index, None])[:, None]  # (B, 1, P)
        outputs = call(x[index, :, :n_slots], p[index, :, :n_slots], mask)
        loss = nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], labels[index])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return net


WAYS = {
    "ours": ours,
    "weaver, longest of the batch": partial(weaver, length=None, trim=False),
    "weaver, 128 trimmed": weaver,
    "weaver, 128": partial(weaver, trim=False),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes(name):
    build, build_weaver = NETWORKS[name]
    n_ours, n_theirs = (sum(p.numel() for p in net.parameters()) for net in (build(), build_weaver(trim=False)[0]))
    print(f"\n{name}: {n_ours} parameters, weaver {n_theirs}")
    assert n_ours == pytest.approx(n_theirs, rel=0.05)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_speed(benchmark, name, way):
    """Ours should be at least twice as fast as any of theirs."""
    benchmark.group = f"{name}, an epoch of {JETS[name]} jets"
    benchmark.pedantic(WAYS[way], (name, *make_jets(JETS[name])), rounds=3, warmup_rounds=1)
    print(f"\n{name}, {way}: {JETS[name] / benchmark.stats['min']:,.0f} jets/s")


def status(name):
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_memory(benchmark, name, way):
    """What a training needs at its peak beside the libraries and the jets."""
    if way != "ours":
        pytest.importorskip("weaver", reason=WEAVER)
    benchmark.group = f"{name}, peak memory, in the table of --benchmark-json"
    # Blocks of a megabyte go back to the system when they are freed: counted is what is in use, not what malloc keeps.
    options = {"stdout": subprocess.PIPE, "check": True, "env": os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}}
    done = benchmark.pedantic(subprocess.run, ([sys.executable, __file__, name, way],), options, rounds=1)
    benchmark.extra_info |= json.loads(done.stdout)
    print(f"\n{name}, {way}: {benchmark.extra_info['peak_bytes'] / 1e6:.0f} MB")


if __name__ == "__main__":
    name, way = sys.argv[1:]
    WAYS[way](name, *make_jets(4))  # the libraries' own memory, before anything is measured
    jets, before = make_jets(2 * BATCH), status("VmRSS")
    WAYS[way](name, *jets)
    print(json.dumps({"peak_bytes": status("VmHWM") - before}))
