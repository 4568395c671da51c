"""A whole study, training and report, of more input than memory: its peak memory, and its throughput beside memory.

Run with ``python benchmarks/bench_study.py --gigabytes 10 --memory 2GB --folder FOLDER``: FOLDER needs that much room
and a fifth more; what is written there is removed at the end. The input are the shipped dilepton ntuples, repeated with
noise, each branch in five variations as ntuples with systematic uncertainties have them: 180 branches, some 700 bytes
an event. Each study is one command ``coursekit study`` in a process of its own. Its peak is the largest sum over it and
all its children of the memory that is resident, looked at ten times a second. Then a size that fits, ``--beside``, is
trained in memory and streamed, without a report; on a busy machine look at the seconds of the processor.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import uproot

from coursekit.data import fetch
from coursekit.events import INPUT_BRANCHES, WEIGHT_BRANCHES, load_events

FILES = ("GluGluHToWWTo2L2Nu_M125.root", "DYJetsToLL_M-10to50-LO.root", "DYJetsToLL_M-50-LO.root")
IDENTITY = ["run", "luminosityBlock", "event"]
VARIATIONS = ("", "_jes_up", "_jes_down", "_met_up", "_met_down")
CHUNK = 50_000
COMMAND = "from coursekit.cli import app; app()"
BATCH = 4096
MORE = 4  # epochs than one, whose time is that of a training alone


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


def study_of(folder: Path, memory: str, steps: tuple[str, ...], epochs: int) -> Path:
    """Write a study file of the events in a folder."""
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
    train = {"options": {"hidden": [64, 64, 64], "dropout": 0.1}, "batch_size": BATCH, "epochs": epochs}
    job = {"name": f"bench-{memory}", "folder": str(folder / "runs"), "steps": steps}
    path = folder / f"study-{memory}.yaml"
    path.write_text(json.dumps({"job": job, "input": of_input, "train": train}), encoding="utf-8")  # which is YAML, too
    return path


def run(folder: Path, memory: str, steps: tuple[str, ...] = ("train", "apply"), epochs: int = 1) -> dict:
    """Run a study in a process of its own; return the times of its steps and the peak."""
    command = [sys.executable, "-c", COMMAND, "study", str(study_of(folder, memory, steps, epochs))]
    peak, cpu = 0, 0.0
    with (folder / "output.txt").open("w", encoding="utf-8") as said:
        begun = psutil.Popen(command, stdout=said, stderr=said, env=os.environ | {"TMPDIR": str(folder)})
        while begun.poll() is None:
            resident, used = looked_at(begun)
            peak, cpu = max(peak, resident), max(cpu, used)
            time.sleep(0.1)
    if begun.returncode:
        raise SystemExit((folder / "output.txt").read_text(encoding="utf-8")[-2000:])
    path = sorted((folder / "runs" / f"bench-{memory}").iterdir())[-1]
    facts, results = (json.loads((path / name).read_text(encoding="utf-8")) for name in ("run.json", "results.json"))
    seconds = {row["step"]: row["seconds"] for row in facts["steps"]}
    log = (path / "log.txt").read_text(encoding="utf-8").splitlines()
    trained = sum(int(line.split()[3]) for line in log if " training: " in line)
    return {
        "peak MB": round(peak / 1e6),
        "peak MB after each step": {row["step"]: round(row["peak_mib"] * 1.048576) for row in facts["steps"]},
        "seconds": seconds,
        "processor seconds": round(cpu, 1),
        "training events": trained,
        "AUC": results["train"]["mean"],
        "not drawn": results.get("apply", {}).get("missing", {}),
    }


def looked_at(process: psutil.Process) -> tuple[int, float]:
    """Return the bytes in memory of a process and all its children, and the seconds of processors they have used."""
    resident, seconds = 0, 0.0
    for one in (process, *_children(process)):
        try:
            resident += one.memory_info().rss
            seconds += sum(one.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return resident, seconds


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def made(folder: Path, gigabytes: float) -> Path:
    """Write events into a new folder, and say how many."""
    folder.mkdir()
    started = time.perf_counter()
    n_events = make(folder, gigabytes * 1e9)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{size / 1e9:.1f} GB, {n_events} events, written in {time.perf_counter() - started:.0f} s", flush=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--memory", default="2GB", help="input.memory of the study")
    parser.add_argument("--beside", type=float, default=0.5, help="GB that are trained in memory, too")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-study-", dir=options.folder))
    try:
        print(f"the whole study, input.memory {options.memory}:", flush=True)
        large = made(folder / "large", options.gigabytes)
        print(json.dumps(run(large, options.memory), indent=1), flush=True)
        shutil.rmtree(large)
        small = made(folder / "small", options.beside)
        rates = {}
        for memory in ("1TB", "10MB"):
            one, more = (run(small, memory, ("train",), epochs) for epochs in (1, 1 + MORE))
            took = [more["seconds"]["train"] - one["seconds"]["train"]]  # by more epochs, without what comes once
            took.append(more["processor seconds"] - one["processor seconds"])
            rates[memory] = [round(one["training events"] * MORE / seconds) for seconds in took]
            print(f"input.memory {memory}: {rates[memory]} training events a second, and a second of a processor")
        print("streamed / in memory:", [round(a / b, 2) for a, b in zip(rates["10MB"], rates["1TB"], strict=True)])
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
