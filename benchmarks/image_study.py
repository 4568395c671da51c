"""The jet-image study of 2018 repeated with its exact networks: 40 epochs in batches of 100, the last epoch is tested.

    python benchmarks/image_study.py simulate study.npz --jets 84000 --seed 2 --jobs 2
    python benchmarks/image_study.py train study.npz --output results.json

``simulate`` makes the pictures of the study, 16 x 22 towers, and with ``--standardised`` also 40 x 40 pixels in
standard position with two channels, pT and the number of constituents. ``train`` takes several files and trains on
40 000 jets of each, or on as many as there are: best on a GPU. There are two columns of labels and two outputs with a
softmax, as in the study. Printed are the rejections of QCD jets, and what comes out if both columns are flattened into
one ROC curve, as the study did it.
"""

import json
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
from torch import nn
from torch.nn import functional as F

from coursekit.images import standardised_images, study_images
from coursekit.metrics import Estimate, auc, rejection
from coursekit.simulate.chunks import run_chunks
from coursekit.simulate.toptag import JET_IMAGES, JetRecipe, simulate_jet_chunk

EFFICIENCIES = (0.5, 0.6, 0.8)
N_VALIDATION = 10_000  # looked at after each epoch, and not used
PIXELS = 40
app = typer.Typer(add_completion=False, no_args_is_help=True)


def pictures_of_chunk(recipe: JetRecipe, process: str, seed: int, standardised: bool, chunk: int) -> dict:
    """Simulate one chunk of jets and make their pictures, in integers: arrays (N, H, W) by name."""
    jets = simulate_jet_chunk(recipe, process, seed, chunk)[0].constituents
    arrays = {"study": study_images(jets)[..., 0]}
    if standardised:
        images = standardised_images(jets, pixels=PIXELS, channels=("pt", "multiplicity"))
        arrays["pt"] = np.rint(65535 * images[..., 0]).astype(np.uint16)
        arrays["multiplicity"] = images[..., 1].astype(np.uint8)
    return arrays


@app.command()
def simulate(
    output: Path,
    jets: Annotated[int, typer.Option(min=10, help="For training, validation and test, half of them tops.")] = 84_000,
    seed: int = 2,
    jobs: Annotated[int, typer.Option(min=1)] = 1,
    pt: Annotated[tuple[float, float], typer.Option(help="Range of the jets, and of the hard partons.")] = (750, 950),
    second_jet: Annotated[bool, typer.Option(help="The second jet must lie in the same range.")] = True,
    interactions: Annotated[bool, typer.Option(help="The protons' other partons collide, too.")] = False,
    standardised: Annotated[bool, typer.Option(help="Make the pictures in standard position, too.")] = False,
) -> None:
    """Simulate jets as `coursekit simulate images` does, and write their pictures, compressed."""
    recipe = replace(JET_IMAGES, pt=pt, pt_hat=pt, second_jet=second_jet, multiple_interactions=interactions)
    start, both = time.perf_counter(), []
    for process in ("qcd", "top"):
        work, made = partial(pictures_of_chunk, recipe, process, seed, standardised), []
        with closing(run_chunks(work, count(), jobs)) as chunks:
            while sum(len(arrays["study"]) for arrays in made) < jets // 2:
                made.append(next(chunks))
        both.append({name: np.concatenate([arrays[name] for arrays in made])[: jets // 2] for name in made[0]})
    arrays = {name: np.concatenate([half[name] for half in both]) for name in both[0]}
    arrays["labels"] = np.repeat(np.arange(2, dtype=np.uint8), jets // 2)
    order = np.random.default_rng(seed).permutation(len(arrays["labels"]))
    parts = zip(("train", "val", "test"), np.split(order, [round(0.6 * jets), round(0.8 * jets)]), strict=True)
    np.savez_compressed(output, **{f"{part}_{name}": arrays[name][rows] for part, rows in parts for name in arrays})
    size, seconds = output.stat().st_size / 1e6, time.perf_counter() - start
    print(f"{output}: {len(order)} jets, {size:.1f} MB, {seconds:.0f} s with {jobs} jobs", flush=True)


# --- the networks of the study ----------------------------------------------------------------------------------------


def as_in_keras(layer: nn.Module, kernel: Callable = nn.init.xavier_uniform_, **settings) -> nn.Module:
    """Give a layer the initial weights that Keras gives it: Glorot's by default, and zero biases."""
    kernel(layer.weight, **settings)
    nn.init.zeros_(layer.bias)
    return layer


def logistic(channels: int, height: int, width: int) -> nn.Sequential:
    """Build the logistic regression."""
    output = as_in_keras(nn.Linear(channels * height * width, 2), nn.init.normal_, std=0.05)
    return nn.Sequential(nn.Flatten(), output)


def mlp(channels: int, height: int, width: int) -> nn.Sequential:
    """Build three layers of 100 tanh with two dropouts."""
    first = as_in_keras(nn.Linear(channels * height * width, 100), nn.init.normal_, std=0.05)
    layers = [nn.Flatten(), first, nn.Tanh(), nn.Dropout(0.5)]
    layers += [as_in_keras(nn.Linear(100, 100), nn.init.orthogonal_), nn.Tanh(), nn.Dropout(0.5)]
    layers += [as_in_keras(nn.Linear(100, 100), nn.init.orthogonal_), nn.Tanh()]
    return nn.Sequential(*layers, as_in_keras(nn.Linear(100, 2), nn.init.normal_, std=0.05))


def cnn(channels: int, height: int, width: int) -> nn.Sequential:
    """Build two pairs of 3 x 3 convolutions, the first without padding, a dense layer of 300 and three dropouts."""
    layers = []
    for n, padding in ((32, 0), (64, 1)):
        for before in (channels, n):
            layers += [as_in_keras(nn.Conv2d(before, n, 3, padding=padding)), nn.ReLU()]
        layers += [nn.MaxPool2d(2), nn.Dropout(0.25)]
        channels = n
    left = 64 * ((height - 4) // 4) * ((width - 4) // 4)
    layers += [nn.Flatten(), as_in_keras(nn.Linear(left, 300)), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, as_in_keras(nn.Linear(300, 2)))


class Row(NamedTuple):
    """A network, and the pictures that it sees."""

    build: Callable
    pictures: tuple[str, ...] = ("study",)


ROWS = {
    "logistic": Row(logistic),
    "mlp": Row(mlp),
    "cnn": Row(cnn),
    "standardised": Row(cnn, ("pt",)),
    "colour": Row(cnn, ("pt", "multiplicity")),
}
SCALE = {"study": 1 / 255, "pt": 40 / 65535, "multiplicity": 0.5}  # to pixels of order one


# --- training ---------------------------------------------------------------------------------------------------------


def recorded(step: Callable, device: torch.device) -> Callable:
    """Return a training step that a GPU repeats by itself (a CUDA graph): many small kernels without waiting."""
    if device.type != "cuda":
        return step
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def outputs(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return both outputs before the softmax, (N, 2)."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part) for part in images.split(2000)])


def train(model, images, labels, validation, epochs: int, batch_size: int, seed: int) -> list[list[float]]:
    """Train with Adam as Keras sets it; return [loss, accuracy, validation loss, validation accuracy] of each epoch."""
    device = images.device
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, capturable=device.type == "cuda")
    chosen = torch.arange(batch_size, device=device)  # of these jets the step is made
    sums = torch.zeros(2, device=device)

    def step():
        optimiser.zero_grad()
        x, y = images[chosen], labels[chosen]
        output = model(x)
        loss = F.cross_entropy(output, y)
        loss.backward()
        optimiser.step()
        sums.add_(torch.stack([loss.detach(), (output.argmax(1) == y).float().mean()]))

    rng, history = torch.Generator().manual_seed(seed), []
    model.train()
    again = recorded(step, device)
    for _ in range(epochs):
        order = torch.randperm(len(labels), generator=rng).to(device).split(batch_size)
        batches = [batch for batch in order if len(batch) == batch_size]
        sums.zero_()
        model.train()
        for batch in batches:
            chosen.copy_(batch)
            again()
        output = outputs(model, validation[0])
        right = (output.argmax(1) == validation[1]).float().mean()
        now = [*(sums / len(batches)).tolist(), F.cross_entropy(output, validation[1]).item(), right.item()]
        history.append([round(x, 4) for x in now])
    return history


def measured(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, list[float]]:
    """Return AUC and rejections with errors, and `pooled` the same of both columns flattened into one."""
    one_hot = np.eye(2, dtype=int)[labels]
    kinds = {"": (labels, probabilities[:, 1]), "pooled ": (one_hot.ravel(), probabilities.ravel())}
    values = {f"{kind}auc": auc(*both) for kind, both in kinds.items()}
    values |= {f"{kind}{e}": rejection(*both, e) for e in EFFICIENCIES for kind, both in kinds.items()}
    return {name: [round(x, 5) for x in value] for name, value in values.items()}


def summary(runs: list[dict]) -> str:
    """Return the mean over seeds, its error from counting, and in brackets the spread of the seeds."""
    cells = []
    for name in ("auc", *(f"{kind}{e}" for kind in ("", "pooled ") for e in EFFICIENCIES)):
        values, errors = zip(*(run[name] for run in runs), strict=True)
        spread = f" [{np.std(values, ddof=1):.2g}]" if len(runs) > 1 else ""
        cells.append(f"{Estimate(float(np.mean(values)), float(np.mean(errors)))}{spread}".rjust(22))
    return "".join(cells)


def loaded(path: Path, part: str, pictures: tuple[str, ...], n: int | None, device) -> tuple[torch.Tensor, ...]:
    """Return pictures (N, C, H, W) float32 and labels (N,) int64 of the first n jets."""
    with np.load(path) as arrays:
        channels = [arrays[f"{part}_{name}"][:n] * np.float32(SCALE[name]) for name in pictures]
        labels = arrays[f"{part}_labels"][:n].astype(np.int64)
    return torch.from_numpy(np.stack(channels, axis=1)).to(device), torch.from_numpy(labels).to(device)


def trained(path: Path, row: Row, jets: int, epochs: int, batch_size: int, seeds: list[int], device) -> list[dict]:
    """Train one network on the pictures of a file, once for each seed; return what each run was like."""
    x, y = loaded(path, "train", row.pictures, jets, device)
    validation = loaded(path, "val", row.pictures, N_VALIDATION, device)
    images, labels = loaded(path, "test", row.pictures, None, device)
    runs = []
    for seed in seeds:
        torch.manual_seed(seed)
        model = row.build(*x.shape[1:]).to(device)
        start = time.perf_counter()
        history = train(model, x, y, validation, epochs, batch_size, seed)
        seconds = round(time.perf_counter() - start, 1)
        probabilities = outputs(model, images).double().softmax(1).cpu().numpy()
        sizes = {"training jets": len(x), "test jets": len(images)}
        sizes["parameters"] = sum(math.prod(p.shape) for p in model.parameters())
        values = measured(labels.cpu().numpy(), probabilities)
        runs.append({"seed": seed, "seconds": seconds, **sizes, **values, "history": history})
    return runs


@app.command(name="train")
def train_all(
    files: list[Path],
    jets: Annotated[int, typer.Option(min=100, help="Training jets, the first of each file.")] = 40_000,
    epochs: Annotated[int, typer.Option(min=1)] = 40,
    batch_size: Annotated[int, typer.Option(min=1)] = 100,
    seeds: Annotated[str, typer.Option(help="Comma-separated; one training each.")] = "1,2,3",
    networks: Annotated[str, typer.Option(help=f"Comma-separated, of {', '.join(ROWS)}.")] = "logistic,mlp,cnn",
    output: Annotated[Path | None, typer.Option(help="Where to write every run as JSON.")] = None,
) -> None:
    """Train the networks on the pictures of each file, and print their rejections on its test jets."""
    names = networks.split(",")
    if unknown := set(names) - set(ROWS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; choose from {', '.join(ROWS)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    machine = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    results = {"machine": machine, "torch": torch.__version__, "epochs": epochs, "batch": batch_size}
    print(f"PyTorch {torch.__version__} on {machine}, {epochs} epochs in batches of {batch_size}")
    heads = ("AUC", *(f"{kind}1/eps_B at {e}" for kind in ("", "pooled ") for e in EFFICIENCIES))
    print(" " * 24 + "".join(head.rjust(22) for head in heads))
    for path in files:
        for name in names:
            key, each = f"{path.stem} {name}", [*map(int, seeds.split(","))]
            runs = results[key] = trained(path, ROWS[name], jets, epochs, batch_size, each, device)
            size = ", ".join(f"{runs[0][what]} {what}" for what in ("training jets", "test jets", "parameters"))
            seconds = np.mean([run["seconds"] for run in runs])
            print(f"{key.ljust(24)}{summary(runs)}   {size}, {seconds:.0f} s a training", flush=True)
            if output:
                output.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    app()
