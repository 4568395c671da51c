"""The taggers of lesson 11 on the top-tagging sample: how well each learns from few jets and from many.

    python benchmarks/clouds_study.py FOLDER OUTPUT --sizes 500,2000,12000 --seeds 1,2,3

FOLDER holds ``toptag_train.h5``, ``_val.h5`` and ``_test.h5``, as ``coursekit simulate toptag`` writes them or as they
ship. For each size and seed all taggers learn from the same jets, drawn with the seed, so that they can be compared in
pairs; the epoch with the lowest validation loss is the one that is tested. OUTPUT gets ``TAGGER_SIZE_SEED.npz`` with
the scores of the test jets, and ``.json`` with settings, parameters, operations and seconds, after each training; what
is there already is not done again, and what was interrupted goes on. ``--collect FILE`` then writes all scores and
numbers into one file, as `data/clouds.npz` ships.
"""

import json
import os
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import awkward as ak
import numpy as np
import torch
import typer
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from torch.utils.flop_counter import FlopCounterMode

from coursekit.data import fetch
from coursekit.files import replacing, save_arrays
from coursekit.images import standardised_images
from coursekit.jets import flow_features, load_jets, pack, relative_features
from coursekit.jets.packed import PackedJets
from coursekit.metrics import accuracy, auc, rejection
from coursekit.nets.deepsets import DeepSets, EnergyFlow
from coursekit.nets.keras_nets import build_cnn, score_of
from coursekit.nets.lorentz import LorentzNet
from coursekit.nets.particlenet import ParticleNet
from coursekit.nets.transformer import ParticleTransformer
from coursekit.observables import measure_jets
from coursekit.training import pick_device, predict, train

os.environ["KERAS_BACKEND"] = "torch"  # for the CNN; Keras comes when it is used
UPRIGHT = partial(relative_features, upright=True)


def pretrained() -> ParticleTransformer:
    """Return the transformer that ``benchmarks/pretraining.py`` has trained, with a new last layer."""
    model, stored = ParticleTransformer(), torch.load(fetch("pretrained.pt"), weights_only=True)
    last = "head.1."
    model.load_state_dict({name: values for name, values in stored.items() if not name.startswith(last)}, strict=False)
    return model


@dataclass(frozen=True)
class Recipe:
    """A network, its inputs, and how it is trained beside what depends on the size of the sample."""

    build: Callable[[], torch.nn.Module]
    inputs: Callable[[ak.Array], tuple[np.ndarray, np.ndarray]] = UPRIGHT
    settings: dict = field(default_factory=lambda: {"learning_rate": 3e-3})


RECIPES = {
    "EFN": Recipe(EnergyFlow, partial(flow_features, upright=True)),
    "PFN": Recipe(lambda: DeepSets(7)),
    "ParticleNet": Recipe(ParticleNet),
    "transformer": Recipe(ParticleTransformer, settings={"learning_rate": 2e-3, "weight_decay": 0.01}),
    "transformer fine-tuned": Recipe(pretrained, settings={"learning_rate": 1e-3, "weight_decay": 0.01}),
    "LorentzNet": Recipe(LorentzNet, pack),
}
# Up to so many training jets: epochs, jets of a step, validation jets to choose the epoch with
SCHEDULES = {
    200: (60, 16, 500),
    500: (40, 32, 1000),
    2000: (20, 64, 2000),
    20_000: (12, 128, 4000),
    10**9: (6, 256, 10_000),
}


def read(folder: Path) -> dict[str, tuple[ak.Array, np.ndarray]]:
    """Return jets and labels of the three files."""
    return {part: load_jets(folder / f"toptag_{part}.h5") for part in ("train", "val", "test")}


def schedule(samples: dict, longer: int) -> tuple[int, int, dict]:
    """Return epochs, jets of a step, and the samples with as many validation jets as go with so many for training."""
    size = len(samples["train"][1])
    epochs, batch_size, n_validation = next(value for limit, value in SCHEDULES.items() if size <= limit)
    return longer * epochs, batch_size, samples | {"val": tuple(part[:n_validation] for part in samples["val"])}


def network(recipe: Recipe, samples: dict, seed: int, checkpoint: Path, longer: int) -> tuple[np.ndarray, dict]:
    """Train once; return the scores of the test jets and what there is to know."""
    epochs, batch_size, samples = schedule(samples, longer)
    device = pick_device()
    packed = {part: PackedJets(*recipe.inputs(jets), labels).to(device) for part, (jets, labels) in samples.items()}
    torch.manual_seed(seed)
    model = recipe.build().to(device)
    settings = recipe.settings | {"epochs": epochs, "batch_size": batch_size}
    start, generator = time.perf_counter(), torch.Generator().manual_seed(seed)
    history = train(model, packed["train"], packed["val"], **settings, generator=generator, checkpoint=checkpoint)
    known = {"seconds": time.perf_counter() - start, "settings": settings, "history": history}
    return predict(model, packed["test"])[:, 0], known


def pictures(jets: ak.Array) -> np.ndarray:
    """Return the pictures in standard position of lesson 7, in per cent of the momentum, (N, 20, 20, 1)."""
    return 100 * standardised_images(jets, pixels=20)


def small_cnn() -> torch.nn.Module:
    """Return the CNN of lesson 7 in its quick mode."""
    return build_cnn((20, 20, 1), filters=8, dense=64)


def convolutional(samples: dict, seed: int, _: Path, longer: int) -> tuple[np.ndarray, dict]:
    """Train the CNN of lesson 7."""
    import keras

    epochs, batch_size, samples = schedule(samples, longer)
    seen = {part: (pictures(jets), labels) for part, (jets, labels) in samples.items()}
    keras.utils.set_random_seed(seed)
    model, steps = small_cnn(), epochs * -(-len(seen["train"][1]) // batch_size)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.003, steps)), "binary_crossentropy")
    best = keras.callbacks.EarlyStopping(patience=epochs, restore_best_weights=True)
    settings, start = {"epochs": epochs, "batch_size": batch_size}, time.perf_counter()
    history = model.fit(*seen["train"], validation_data=seen["val"], callbacks=[best], verbose=0, **settings).history
    known = {"seconds": time.perf_counter() - start, "settings": settings, "history": history}
    return logit(score_of(model, seen["test"][0]).clip(1e-7, 1 - 1e-7)), known  # as the others, and exact in float16


def observed(jets: ak.Array) -> np.ndarray:
    """Return the thirteen observables of lesson 8, (N, 13)."""
    columns = measure_jets(jets)
    return np.stack([values for name, values in columns.items() if name not in ("jet_eta", "jet_phi")], axis=1)


def trees(samples: dict, seed: int, _: Path, __: int) -> tuple[np.ndarray, dict]:
    """Fit the boosted trees of lesson 8 on the thirteen observables."""
    settings = {"max_iter": 100, "max_leaf_nodes": 8, "min_samples_leaf": min(50, len(samples["train"][1]) // 20)}
    model = HistGradientBoostingClassifier(**settings, early_stopping=False, random_state=seed)
    start = time.perf_counter()
    model.fit(observed(samples["train"][0]), samples["train"][1])
    known = {"seconds": time.perf_counter() - start, "settings": settings}
    return model.decision_function(observed(samples["test"][0])), known


TREES, CNN = "boosted trees", "CNN"
TAGGERS = {TREES: trees, CNN: convolutional} | {name: partial(network, recipe) for name, recipe in RECIPES.items()}


def operations(model: torch.nn.Module, *inputs: torch.Tensor) -> float:
    """Return the multiplications of matrices that a jet takes, one way, an addition and a product counted as two."""
    model.eval()
    with FlopCounterMode(display=False) as counter:
        n_jets = len(model(*inputs))
    return counter.get_total_flops() / n_jets


def prices(samples: dict) -> dict[str, tuple[float, float, float]]:
    """Return parameters, operations for a jet, and jets per second of each tagger, on one core.

    The time is that from momenta to scores, the best of three; boosted trees have only that.
    """
    torch.set_num_threads(1)
    jets, labels = (part[:2000] for part in samples["test"])
    boosted = HistGradientBoostingClassifier(max_leaf_nodes=8).fit(observed(jets), labels)
    found = {TREES: (np.nan, np.nan, speed(lambda: boosted.decision_function(observed(jets)), len(jets)))}
    cnn = small_cnn()
    counted = cnn.count_params(), operations(cnn, torch.from_numpy(pictures(jets[:200])))
    found[CNN] = (*counted, speed(lambda: score_of(cnn, pictures(jets)), len(jets)))
    for name, recipe in RECIPES.items():
        model = recipe.build()
        some = PackedJets(*recipe.inputs(jets[:200]), labels[:200])
        counted = sum(p.numel() for p in model.parameters()), operations(model, some.features, some.counts)
        found[name] = (*counted, speed(partial(judge, recipe, model, jets, labels), len(jets)))
    return found


def judge(recipe: Recipe, model: torch.nn.Module, jets: ak.Array, labels: np.ndarray) -> None:
    """Make the features of jets and their scores."""
    predict(model, PackedJets(*recipe.inputs(jets), labels))


def speed(function: Callable[[], None], n_jets: int) -> float:
    """Return the jets per second of a function that judges so many."""
    return n_jets / min(timeit.repeat(function, number=1, repeat=3))


def collect(output: Path, target: Path, price: dict[str, tuple[float, float, float]]) -> None:
    """Write the scores of all trainings, (M, N) float16, their names and their numbers into one file."""
    paths = sorted(output.glob("*.json"))
    known = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    stored = [np.load(path.with_suffix(".npz")) for path in paths]
    save_arrays(
        target,
        labels=stored[0]["labels"].astype(np.uint8),
        taggers=np.array([entry["tagger"] for entry in known]),
        sizes=np.array([entry["size"] for entry in known]),
        seeds=np.array([entry["seed"] for entry in known]),
        scores=np.stack([entry["score"] for entry in stored]).astype(np.float16),
        seconds=np.array([entry["seconds"] for entry in known]),
        priced=np.array(list(price)),
        prices=np.array(list(price.values())),  # (K, 3): parameters, operations of a jet, jets per second
    )


def main(
    folder: Path,
    output: Path,
    taggers: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(TAGGERS),
    sizes: Annotated[str, typer.Option(help="Training jets, comma-separated.")] = "500,2000,12000",
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "1,2,3",
    longer: Annotated[int, typer.Option(help="So many times as many epochs.")] = 1,
    collected: Annotated[Path | None, typer.Option("--collect", help="File for all that OUTPUT holds.")] = None,
) -> None:
    """Train taggers on FOLDER's jets, compare them on its test jets."""
    output.mkdir(parents=True, exist_ok=True)
    everything = read(folder)
    print(f"torch {torch.__version__} on {pick_device()}, {torch.get_num_threads()} threads", flush=True)
    jets, labels = everything["train"]
    for size, seed, name in [
        (int(n), int(s), t) for n in sizes.split(",") for s in seeds.split(",") for t in taggers.split(",")
    ]:
        stem = output / f"{name.replace(' ', '_')}_{size}_{seed}"
        if stem.with_suffix(".json").exists():
            continue
        chosen = np.sort(np.random.default_rng(seed).permutation(len(labels))[:size])
        samples = everything | {"train": (jets[chosen], labels[chosen])}
        checkpoint = stem.with_suffix(".pt")
        score, known = TAGGERS[name](samples, seed, checkpoint, longer)
        true = samples["test"][1]
        save_arrays(stem.with_suffix(".npz"), labels=true, score=score.astype(np.float32))
        with replacing(stem.with_suffix(".json")) as partial_path:
            partial_path.write_text(
                json.dumps({"tagger": name, "size": size, "seed": seed, **known}, indent=1), encoding="utf-8"
            )
        checkpoint.unlink(missing_ok=True)  # it was for an interruption
        measured = f"AUC {auc(true, score)}, rejection at 50% {rejection(true, score, 0.5)}"
        measured += f", accuracy {accuracy(true, score, threshold=0.0)}, {known['seconds']:.0f} s"
        print(f"{name}, {size} jets, seed {seed}: {measured}", flush=True)
    if collected:
        collect(output, collected, prices(everything))


if __name__ == "__main__":
    typer.run(main)
