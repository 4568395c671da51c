"""The 2018 jet-image study repeated: its three networks, and a CNN on standardised images of the same jets.

    python benchmarks/image_study.py FOLDER --jets 50000 --epochs 8 --seeds 1,2 --output results.json

FOLDER holds ``jetimages_train.h5``, ``_val.h5`` and ``_test.h5`` from ``coursekit simulate images``. Each network is
trained with Adam and a learning rate that falls to zero along half a cosine; the epoch with the lowest
validation loss is the one that is tested. ``--networks`` takes some of logistic, mlp, cnn, standardised, and small, a
CNN of half the filters that trains three times faster. ``--stem toptag`` reads the top-tagging sample. The table
gives each value with its error from counting jets, and in brackets the standard deviation between seeds.

On a CPU without AVX-512, ``TF_ENABLE_ONEDNN_OPTS=1`` in the environment makes TensorFlow 1.5 to 3 times faster.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from coursekit.images import standardised_images, study_images
from coursekit.jets import count_jets, load_jets
from coursekit.metrics import Estimate, auc, rejection
from coursekit.nets.keras_nets import build_dense, choose_precision, score_of

EFFICIENCIES = (0.5, 0.6, 0.8)
N_VALIDATION = 10_000  # enough to choose an epoch


def build_mlp(shape: tuple[int, int, int], scale: float, hidden=(100, 100, 100), dropout: float = 0.5):
    """Build a fully connected network on pixels; without hidden layers it is logistic regression."""
    import keras

    dense = build_dense(int(np.prod(shape)), hidden, activation="tanh", dropout=dropout)
    return keras.Sequential([keras.Input(shape), keras.layers.Rescaling(scale), keras.layers.Flatten(), *dense.layers])


def build_cnn(shape: tuple[int, int, int], scale: float, filters=(32, 64), dense: int = 300):
    """Build pairs of 3 x 3 convolutions, each pair followed by a pooling, and a dense layer: the network of 2018."""
    import keras

    layers = [keras.Input(shape), keras.layers.Rescaling(scale)]  # (N, H, W, C)
    for n in filters:
        layers += [keras.layers.Conv2D(n, 3, padding="same", activation="relu") for _ in range(2)]
        layers.append(keras.layers.MaxPooling2D(2))
    layers += [keras.layers.Flatten(), keras.layers.Dense(dense, activation="relu"), keras.layers.Dropout(0.5)]
    return keras.Sequential([*layers, keras.layers.Dense(1, activation="sigmoid", dtype="float32")])


class Recipe(NamedTuple):
    """Which images a network sees, how it is built from their shape, and the learning rate it begins with."""

    images: Callable
    build: Callable
    rate: float = 0.002


NETWORKS = {
    "logistic": Recipe(study_images, lambda shape: build_mlp(shape, scale=1 / 255, hidden=()), rate=0.02),
    "mlp": Recipe(study_images, lambda shape: build_mlp(shape, scale=1 / 255)),
    "cnn": Recipe(study_images, lambda shape: build_cnn(shape, scale=1 / 255)),
    "small": Recipe(study_images, lambda shape: build_cnn(shape, scale=1 / 255, filters=(16, 32), dense=100)),
    "standardised": Recipe(
        standardised_images, lambda shape: build_cnn(shape, scale=40, filters=(8, 16, 32), dense=100)
    ),
}


def train(model, rate: float, training, validation, epochs: int, batch_size: int) -> list[dict[str, float]]:
    """Train, keep the parameters of the best epoch, and return what each epoch was like."""
    import keras

    steps = epochs * -(-len(training[1]) // batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss="binary_crossentropy")
    history, best = [], None
    for _ in range(epochs):
        start = time.perf_counter()
        loss = model.fit(*training, batch_size=batch_size, verbose=0).history["loss"][0]
        seconds = time.perf_counter() - start
        score = score_of(model, validation[0])
        p = np.clip(np.where(validation[1] == 1, score, 1 - score), 1e-7, 1)
        history.append({"loss": loss, "val_loss": float(-np.log(p).mean()), "seconds": seconds})
        history[-1]["val_rejection_0.6"] = rejection(validation[1], score, 0.6).value
        if history[-1]["val_loss"] == min(epoch["val_loss"] for epoch in history):
            best = model.get_weights()
    model.set_weights(best)
    return history


def table_row(runs: list[dict]) -> str:
    """Return the mean over seeds of each quantity, its error from counting, and in brackets the spread of the seeds."""
    cells = []
    for name in ("auc", *map(str, EFFICIENCIES)):
        values, errors = zip(*(run[name] for run in runs), strict=True)
        spread = f" [{np.std(values, ddof=1):.2g}]" if len(runs) > 1 else ""
        cells.append(f"{Estimate(float(np.mean(values)), float(np.mean(errors)))}{spread}".rjust(24))
    return "".join(cells)


def main(
    folder: Path,
    jets: Annotated[int, typer.Option(min=2, help="Training jets, the first of the file.")] = 50_000,
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    batch_size: Annotated[int, typer.Option(min=1)] = 128,
    seeds: Annotated[str, typer.Option(help="Comma-separated; one training each.")] = "1",
    networks: Annotated[str, typer.Option(help="Comma-separated.")] = "logistic,mlp,cnn,standardised",
    stem: Annotated[str, typer.Option(help="What the names of the files begin with.")] = "jetimages",
    output: Annotated[Path | None, typer.Option(help="Where to write every run as JSON.")] = None,
) -> None:
    """Train the networks on the jets of FOLDER and print their rejections and AUC on its test jets."""
    import keras

    print(f"Keras {keras.__version__} on {keras.backend.backend()}, {choose_precision()}")
    names = networks.split(",")
    if unknown := set(names) - set(NETWORKS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; choose from {', '.join(NETWORKS)}")
    parts = {}
    paths = {part: folder / f"{stem}_{part}.h5" for part in ("train", "val", "test")}
    sizes = {"train": jets, "val": min(N_VALIDATION, count_jets(paths["val"])), "test": None}
    for part, path in paths.items():
        constituents, labels = load_jets(path, 0, sizes[part])
        images = {make: make(constituents) for make in dict.fromkeys(NETWORKS[name].images for name in names)}
        parts[part] = images, labels.astype(np.float32)
    print(f"{jets} jets of {folder}, {len(parts['test'][1])} test jets, {epochs} epochs in batches of {batch_size}")
    print("network".ljust(14) + "".join(head.rjust(24) for head in ("AUC", *(f"1/eps_B at {e}" for e in EFFICIENCIES))))
    results = {}
    for name in names:
        make, build, rate = NETWORKS[name]
        training, validation, (images, labels) = ((images[make], y) for images, y in parts.values())
        runs = results[name] = []
        for seed in map(int, seeds.split(",")):
            keras.utils.set_random_seed(seed)
            model = build(training[0].shape[1:])
            history = train(model, rate, training, validation, epochs, batch_size)
            score = score_of(model, images)
            measured = {str(e): rejection(labels, score, e) for e in EFFICIENCIES} | {"auc": auc(labels, score)}
            runs.append({"seed": seed, "parameters": model.count_params(), "history": history, **measured})
        seconds = np.mean([sum(epoch["seconds"] for epoch in run["history"]) for run in runs])
        print(f"{name.ljust(14)}{table_row(runs)}   {runs[0]['parameters']} parameters, {seconds:.0f} s", flush=True)
    if output:
        settings = {"folder": str(folder), "jets": jets, "epochs": epochs, "batch_size": batch_size}
        output.write_text(json.dumps({"settings": settings, "results": results}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
