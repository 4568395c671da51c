"""A study of more input than memory: peak memory and throughput, streamed beside in memory.

Run with ``python benchmarks/bench_study.py --gigabytes 10 --memory 2GB --folder FOLDER``: FOLDER needs that much room,
and TMPDIR a tenth of it; what is written there is removed at the end. The input are the shipped dilepton ntuples,
repeated with noise, each branch in five variations as ntuples with systematic uncertainties have them: 180 branches,
some 700 bytes an event. Each study runs in a process of its own, whose peak memory is what the system says of it.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import uproot

from coursekit.data import fetch
from coursekit.events import INPUT_BRANCHES, WEIGHT_BRANCHES, load_events

FILES = ("GluGluHToWWTo2L2Nu_M125.root", "DYJetsToLL_M-10to50-LO.root", "DYJetsToLL_M-50-LO.root")
IDENTITY = ["run", "luminosityBlock", "event"]
VARIATIONS = ("", "_jes_up", "_jes_down", "_met_up", "_met_down")
CHUNK = 50_000
BATCH, STEPS = 4096, 500  # of the training that is timed


def make(folder: Path, n_bytes: float) -> int:
    """Write three files of together so many bytes; return the number of events."""
    n_events = 0
    for number, name in enumerate(FILES):
        rng = np.random.default_rng(number)
        events = load_events(fetch(name))
        flat = {branch: column for branch, column in events.items() if getattr(column, "ndim", 2) == 1}
        flat = {branch: column for branch, column in flat.items() if isinstance(column, np.ndarray)}
        kinds = {f"{branch}{variation}": column.dtype for branch, column in flat.items() for variation in VARIATIONS}
        size = sum(dtype.itemsize for dtype in kinds.values())
        n_chunks = round(n_bytes / len(FILES) / size / CHUNK)
        with uproot.recreate(folder / name, compression=None) as file:
            tree = file.mktree("Events", kinds, initial_basket_capacity=n_chunks + 10)
            for chunk in range(n_chunks):
                at = rng.integers(len(events["run"]), size=CHUNK)
                content = {}
                for branch, column in flat.items():
                    for variation in VARIATIONS:
                        values = column[at]
                        if values.dtype.kind == "f" and branch in (*INPUT_BRANCHES, "mll"):
                            noise = rng.standard_normal(CHUNK, dtype=np.float32) * np.float32(0.01)
                            values = np.where(values == -1, values, values * (1 + noise)).astype(values.dtype)
                        content[branch + variation] = values
                content["event"] = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK).astype(kinds["event"])
                tree.extend(content)
        n_events += n_chunks * CHUNK
    return n_events


def study_of(folder: Path, memory: str):
    from coursekit.study.settings import Study

    signal, *backgrounds = ({"files": [str(folder / name)]} for name in FILES)
    of_input = {
        "signals": {"hww": signal},
        "backgrounds": dict(zip(("low", "high"), backgrounds, strict=True)),
        "features": INPUT_BRANCHES,
        "spectators": ["mll"],
        "weight": " * ".join(WEIGHT_BRANCHES),
        "targets": {"signal": {"mean": 1}, "background": {"mean": 1}},
        "defaults": {"ptTOT_cut": -1, "mTOT_cut": -1},
        "split": {"keys": IDENTITY},
        "memory": memory,
    }
    return Study.model_validate({"job": {"name": "bench"}, "input": of_input})


def run(folder: Path, memory: str) -> dict:
    """Load a study, look at one column, train some steps and score the test part; return times and peak memory."""
    import keras

    from coursekit.nets.keras_nets import build_dense
    from coursekit.streaming import keras_dataset
    from coursekit.study.dataset import load_dataset

    marks = [time.perf_counter()]
    dataset = load_dataset(study_of(folder, memory))
    marks.append(time.perf_counter())
    view = dataset.view()
    mll = dataset.columns["mll"]
    marks.append(time.perf_counter())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = build_dense(len(INPUT_BRANCHES), (64, 64, 64), "relu", 0.1)
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy", steps_per_execution=35)
    if dataset.streamed:
        batches = view.stream("training", BATCH, seed=1)
        n_steps = min(STEPS, len(batches))
        model.fit(keras_dataset(batches), steps_per_epoch=n_steps, epochs=1, verbose=0)
    else:
        rows = view.training
        n_steps = min(STEPS, -(-len(rows) // BATCH))
        model.fit(
            view.inputs(rows),
            view.targets(rows),
            sample_weight=view.weights[rows],
            batch_size=4096,
            epochs=1,
            verbose=0,
        )
    marks.append(time.perf_counter())
    scores = [model(inputs, training=False) for inputs in view.chunks(view.test, evaluation=True, size=50_000)]
    marks.append(time.perf_counter())
    seconds = dict(zip(("load", "view", "steps", "scores"), np.diff(marks).round(1).tolist(), strict=True))
    return {
        "streamed": dataset.streamed,
        "events": len(dataset),
        "mean of mll": round(float(mll.mean(dtype=float)), 2),
        "scored": sum(map(len, scores)),
        "seconds": seconds,
        "training events per second": round(min(n_steps * BATCH, len(view.training)) / seconds["steps"]),
        "peak MB before Keras": round(peak / 1024),
        "peak MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--memory", default="2GB", help="input.memory of the streamed study")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(run(options.only, options.memory)))
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-study-", dir=options.folder))
    try:
        started = time.perf_counter()
        n_events = make(folder, options.gigabytes * 1e9)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{size / 1e9:.1f} GB, {n_events} events, written in {time.perf_counter() - started:.0f} s", flush=True)
        for memory in (options.memory, "1TB"):
            command = [sys.executable, __file__, "--only", folder, "--memory", memory]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
            print(done.stdout.strip().splitlines()[-1] if done.returncode == 0 else done.stderr[-800:], flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
