"""Train the transformer that lesson 11 fine-tunes: on six kinds of simulated jets, none of them tops.

    coursekit simulate jetclasses --jets 72000 --seed 11 --jobs 2 --folder classes
    python benchmarks/pretraining.py classes data/pretrained.pt

The file gets the parameters of the epoch with the lowest validation loss, in float32, for ``torch.load``.
"""

import io
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch.nn import functional as F

from coursekit.events import load_events
from coursekit.files import replacing
from coursekit.jets import JETCLASS_LABELS, load_jetclass, relative_features
from coursekit.jets.packed import PackedJets
from coursekit.metrics import auc
from coursekit.nets.transformer import ParticleTransformer
from coursekit.training import pick_device, predict, train

GLUON = 21
SETTINGS = {"batch_size": 128, "learning_rate": 3e-3, "weight_decay": 0.01}


def main(
    folder: Path,
    output: Path,
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    seed: int = 1,
) -> None:
    """Train on FOLDER's jets and write the parameters to OUTPUT."""
    path = folder / "jetclasses.root"
    jets, labels = load_jetclass(path)
    code = load_events(path, ["aux_genpart_pid"], tree="tree")["aux_genpart_pid"]
    labels = np.where(code == GLUON, len(JETCLASS_LABELS), labels)  # the layout has one label for quarks and gluons
    classes, targets = np.unique(labels, return_inverse=True)
    names = [("quark", *JETCLASS_LABELS[1:], "gluon")[place] for place in classes]
    device, n_training = pick_device(), round(0.9 * len(jets))
    packed = PackedJets(*relative_features(jets, upright=True), targets).to(device)
    torch.manual_seed(seed)
    model = ParticleTransformer(n_outputs=len(classes)).to(device)
    start, generator = time.perf_counter(), torch.Generator().manual_seed(seed)
    validation = packed[n_training:]
    train(
        model,
        packed[:n_training],
        validation,
        epochs=epochs,
        **SETTINGS,
        loss=F.cross_entropy,
        generator=generator,
        checkpoint=output.with_suffix(".unfinished"),
        progress=True,
    )
    logits, true = predict(model, validation), targets[n_training:]
    print(f"{n_training} jets, {epochs} epochs, {time.perf_counter() - start:.0f} s on {device}")
    print(f"accuracy {(logits.argmax(axis=1) == true).mean():.3f}, where {1 / len(classes):.3f} is chance")
    for place, name in enumerate(names):
        print(f"AUC of {name} against the rest: {auc(true == place, logits[:, place])}")
    content = io.BytesIO()
    torch.save({name: values.cpu() for name, values in model.state_dict().items()}, content)
    with replacing(output) as partial_path:
        partial_path.write_bytes(content.getvalue())
    output.with_suffix(".unfinished").unlink()


if __name__ == "__main__":
    typer.run(main)
