"""Deep Sets on the top-tagging sample: the plain version, the Particle Flow Network, the Energy Flow Network.

    python benchmarks/deepsets_study.py FOLDER --seeds 1 --output results

FOLDER holds ``toptag_train.h5``, ``_val.h5`` and ``_test.h5``, as ``coursekit simulate toptag`` writes them or as they
ship. The plain version is what a first attempt looks like: standardised four-momenta, a mean over the constituents, a
constant learning rate. PFN and EFN take angles and momentum shares relative to the jet, which stands upright (principal
axis along phi, brightest quadrant at the upper right), sums, and a one-cycle schedule; the PFN ``augmented`` takes jets
as they fly, turned at random in each epoch. The epoch with the lowest validation loss is the one that is tested. The
table gives each value with its error from counting jets. The folder OUTPUT gets ``NETWORK_SEED.json`` with all numbers,
and ``NETWORK_SEED.npz`` with labels and scores of the test jets, to compare taggers on the same jets.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import awkward as ak
import numpy as np
import torch
import typer

from coursekit.jets import (
    FLOW_FEATURES,
    RELATIVE_FEATURES,
    count_jets,
    flow_features,
    load_jets,
    pack,
    relative_features,
)
from coursekit.jets.packed import PackedJets
from coursekit.metrics import accuracy, auc, rejection
from coursekit.nets.deepsets import DeepSets, EnergyFlow
from coursekit.training import pick_device, predict, rotate_and_flip, train

N_VALIDATION = 10_000  # enough to choose an epoch


@dataclass(frozen=True)
class Recipe:
    """A network, its inputs, and how it is trained."""

    build: Callable[[], torch.nn.Module]
    inputs: Callable[[ak.Array], tuple[np.ndarray, np.ndarray]]
    settings: dict  # of `coursekit.training.train`
    standardise: bool = False


ONE_CYCLE = {"epochs": 15, "batch_size": 128, "learning_rate": 3e-3}
RECIPES = {
    "plain": Recipe(
        lambda: DeepSets(4, pooling="mean"),
        pack,
        {"epochs": 10, "batch_size": 128, "learning_rate": 1e-3, "schedule": "constant"},
        standardise=True,
    ),
    "pfn": Recipe(lambda: DeepSets(len(RELATIVE_FEATURES)), partial(relative_features, upright=True), ONE_CYCLE),
    "efn": Recipe(lambda: EnergyFlow(len(FLOW_FEATURES)), partial(flow_features, upright=True), ONE_CYCLE),
    "augmented": Recipe(
        lambda: DeepSets(len(RELATIVE_FEATURES)), relative_features, ONE_CYCLE | {"augment": rotate_and_flip}
    ),
}


def read(recipe: Recipe, paths: dict[str, Path], sizes: dict[str, int | None]) -> dict[str, PackedJets]:
    """Return training, validation and test jets; the scale of the inputs comes from the training jets alone."""
    parts, offset, scale = {}, 0, 1
    for part, path in paths.items():
        jets, labels = load_jets(path, 0, sizes[part])
        features, counts = recipe.inputs(jets)
        if recipe.standardise and part == "train":
            offset, scale = features.mean(axis=0, dtype=float), features.std(axis=0, dtype=float)
        parts[part] = PackedJets(((features - offset) / scale).astype(np.float32), counts, labels)
    return parts


def study(recipe: Recipe, parts: dict[str, PackedJets], seed: int, checkpoint: Path | None) -> tuple[dict, np.ndarray]:
    """Train and test once; return all numbers, and the scores (N,) of the test jets."""
    torch.manual_seed(seed)
    model = recipe.build().to(parts["train"].device)
    generator = torch.Generator().manual_seed(seed)
    start = time.perf_counter()
    history = train(
        model,
        parts["train"],
        parts["val"],
        **recipe.settings,
        generator=generator,
        checkpoint=checkpoint,
        progress=True,
    )
    seconds = time.perf_counter() - start
    score = predict(model, parts["test"])[:, 0]
    labels = parts["test"].targets[:, 0].cpu().numpy()
    measured = {"accuracy": accuracy(labels, score, threshold=0.0), "auc": auc(labels, score)}
    measured |= {f"rejection at {efficiency}": rejection(labels, score, efficiency) for efficiency in (0.5, 0.3)}
    parameters = sum(p.numel() for p in model.parameters())
    settings = {name: getattr(value, "__name__", value) for name, value in recipe.settings.items()}
    result = {"seed": seed, "settings": settings, "parameters": parameters, "seconds": seconds, **measured}
    return result | {"history": history}, score


def main(
    folder: Path,
    networks: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(RECIPES),
    seeds: Annotated[str, typer.Option(help="Comma-separated; one training each.")] = "1",
    jets: Annotated[
        int | None, typer.Option(min=2, help="Training jets, the first of the file; all by default.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for results, scores and checkpoints.")] = None,
) -> None:
    """Train the networks on the jets of FOLDER and print how well they tag its test jets."""
    names, device = networks.split(","), pick_device()
    if unknown := set(names) - set(RECIPES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; choose from {', '.join(RECIPES)}")
    paths = {part: folder / f"toptag_{part}.h5" for part in ("train", "val", "test")}
    sizes = {"train": jets, "val": min(N_VALIDATION, count_jets(paths["val"])), "test": None}
    if output:
        output.mkdir(parents=True, exist_ok=True)
    print(f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads")
    heads = (
        "network",
        "seed",
        "jets",
        "accuracy",
        "AUC",
        "1/eps_B at 0.5",
        "at 0.3",
        "parameters",
        "epochs",
        "seconds",
    )
    rows = []
    for name in names:
        parts = {part: sample.to(device) for part, sample in read(RECIPES[name], paths, sizes).items()}
        for seed in map(int, seeds.split(",")):
            stem = output / f"{name}_{seed}" if output else None
            result, score = study(RECIPES[name], parts, seed, stem and stem.with_suffix(".pt"))
            values = [result[key] for key in ("accuracy", "auc", "rejection at 0.5", "rejection at 0.3")]
            values = [name, seed, len(parts["train"]), *values, result["parameters"], len(result["history"]["loss"])]
            rows.append([*map(str, values), f"{result['seconds']:.0f}"])
            if stem:
                stem.with_suffix(".json").write_text(
                    json.dumps({"folder": str(folder), "jets": jets, **result}, indent=1), encoding="utf-8"
                )
                np.savez(stem.with_suffix(".npz"), labels=parts["test"].targets[:, 0].cpu(), score=score)
                stem.with_suffix(".pt").unlink()  # it was for an interruption; without it the next run is a new one
    for row in (heads, *rows):
        print("".join(cell.ljust(width) for cell, width in zip(row, (9, 6, 8, 18, 20, 16, 16, 12, 8, 8), strict=True)))


if __name__ == "__main__":
    typer.run(main)
