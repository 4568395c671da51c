"""Faults done to what writes files, at an exact moment; `test_faults.py` says what must be true afterwards.

Each operation runs in a process of its own, forked from one that has imported everything, so that a fault costs a
fraction of a second. The moment is a byte of a file, where the kernel ends the process or says that no more fits; or a
step, the n-th time that Python opens, makes, renames or removes something in the folder; or a time.
"""

import contextlib
import hashlib
import json
import multiprocessing
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import awkward as ak
import h5py
import nbformat
import numpy as np
import pandas as pd
import uproot

from coursekit import cli, data, jets, ledger, prepared, preprocess, simulate, splitting, streaming
from coursekit.simulate import hww, toptag
from tests import ntuples, toy

try:
    import torch  # imported only: once its threads have started, no process can be forked
except ImportError:
    torch = None

try:
    import resource
except ImportError:  # not on Windows
    resource = None

ROOT = Path(__file__).resolve().parent.parent
BODY, BODY_NAME = np.random.default_rng(1).bytes(400_000), "body.bin"
STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}


# --- operations: each writes into a folder, version 1 or 2; sources lie beside it -------------------------------------


@cache
def some_jets(seed: int, n: int = 120):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 60, n)
    momenta = rng.normal(size=(counts.sum(), 4)).astype("f4")
    momenta[:, 3] = np.abs(momenta).sum(axis=1)
    return jets.unpack(momenta, counts), rng.integers(0, 2, n)


def save_jets(folder, version):
    jets.save_jets(folder / "jets.h5", *some_jets(version))


def save_indices(folder, version):
    order = np.random.default_rng(version).permutation(30_000)
    splitting.save_indices(folder / "split.npz", {"train": order[:20_000], "test": order[20_000:]}, str(version))


def save_scaler(folder, version):
    table = np.random.default_rng(version).normal(size=(50, 100))
    preprocess.Scaler.fit(table, [f"x{i}" for i in range(100)]).save(folder / "variables.json")


def save_sample(folder, version):
    recipe = replace(ntuples.RECIPE, salt=version)
    prepared.PreparedSample.make(folder.parent / "source" / "flavour.root", recipe).save(folder / "flavour.h5")


def record(folder, version):
    rng = np.random.default_rng(version)
    ledger.record(folder / "08", f"tagger {version}", np.arange(5000) % 2, rng.random(5000), n_training=version)


def train(folder, version):
    from coursekit.jets.packed import PackedJets
    from coursekit.nets.deepsets import DeepSets
    from coursekit.training import train

    torch.manual_seed(1)
    torch.set_num_threads(1)
    packed = PackedJets(torch.randn(300, 3), torch.full((100,), 3), torch.arange(100) % 2)
    model = DeepSets(3, phi=(8,), latent=8, rho=(8,))
    model.rho.insert(0, torch.nn.Dropout(0.3))
    train(model, packed[:80], packed[80:], epochs=4, batch_size=40, checkpoint=folder / "run.pt")


def shuffle(suffix):
    def run(folder, version):
        source, target = folder.parent / "source" / f"source{suffix}", folder / f"shuffled{suffix}"
        streaming.shuffle_file(source, target, np.random.default_rng(version), "150.3MB")

    return run


def write_sources(base):
    """Lay out what the operations read, beside the folder that they write to."""
    folder = base / "source"
    folder.mkdir()
    rng, n = np.random.default_rng(3), 3000
    columns = {"event": np.arange(n), "pt": ak.unflatten(rng.random(3 * n), np.full(n, 3)), "mth": rng.random(n)}
    with uproot.recreate(folder / "source.root") as file:
        file.mktree("Events", {"event": "int64", "pt": "var * float64", "mth": "float64"}).extend(columns)
    jets.save_jets(folder / "source.h5", *some_jets(3, 120))
    ntuples.ntuple(folder / "flavour.root")
    lay_out_courses(base)


def ready_events(name, seed, chunk):
    """Shipped events in the place of simulated ones, which take seconds."""
    with uproot.open(ROOT / "data" / f"{name}.root") as file:
        there = file["Events"].arrays(entry_start=1000 * seed, entry_stop=1000 * seed + 500)
    jagged = ak.zip({key: there[f"Jet_{key}"] for key in ("pt", "eta", "phi", "mass")})
    numbers = ("run", "luminosityBlock", "event", "XSWeight", "nJet")
    columns = {key: there[key] for key in there.fields if key not in numbers and not key.startswith("Jet_")}
    return ak.Array(ak.zip(columns | {"Jet": jagged}, depth_limit=1).layout), 1000


def ready_jets(recipe, process, seed, chunk):
    constituents, _ = some_jets(10 * seed + (process == "top"), 100)
    fields = {name: constituents[name] for name in ("E", "px", "py", "pz")}
    truth = ak.zip({name: (process == "top") * ak.sum(values, axis=1) for name, values in fields.items()})
    return ak.Array(ak.zip({"constituents": ak.zip(fields), "truth": truth}, depth_limit=1).layout), 1000


def write_events(folder, version):
    hww.simulate_chunk = ready_events
    simulate.simulate_hww(folder, events=400, seed=version, samples=list(hww.SAMPLES)[:2])


def write_jets(folder, version):
    toptag.simulate_jet_chunk = ready_jets
    simulate.simulate_toptag(folder, jets=60 * version, seed=version)


def command(*words):
    """A command of the course; in a word, {0} is the folder, {1} the version, and {2} what lies beside the folder."""

    def run(folder, version):
        cli.app([word.format(folder, version, folder.parent) for word in words])

    return run


def lay_out_courses(base):
    """Two versions of a course with a small lesson, and one without data that knows a server."""
    for version in (1, 2):
        lesson = base / f"clone{version}" / "lessons" / "01_toy"
        lesson.mkdir(parents=True)
        text = toy.TOY.replace("rate: float = 0.5", f"rate: float = {version}.5")
        for name, content in (("lesson.py", text), ("exercises.py", toy.EXERCISES), ("figures.toml", toy.FIGURES)):
            (lesson / name).write_text(content, encoding="utf-8")
        (lesson.parents[1] / "course.toml").write_text(toy.COURSE, encoding="utf-8")
        (lesson.parents[1] / "README.md").write_text(toy.README, encoding="utf-8")
    (base / "course" / "data").mkdir(parents=True)


def describe_server(base, port: int) -> None:
    """Say where the file is to be fetched from."""
    (base / "course" / "data" / "registry.toml").write_text(
        f"""
        [public]
        url = "http://127.0.0.1:{port}/{{name}}"
        files."{BODY_NAME}" = {{ bytes = {len(BODY)}, hash = "md5:{hashlib.md5(BODY).hexdigest()}" }}
        """,
        encoding="utf-8",
    )


def fetch(folder, version):
    data._shipped = lambda: folder.parent / "course"
    data._pause = lambda *_: 0
    os.environ |= {"COURSEKIT_DATA": str(folder), "NO_PROXY": "127.0.0.1"}
    cli.app(["data", "fetch", BODY_NAME])


# --- what a file holds ------------------------------------------------------------------------------------------------


def content(path: Path):
    """Read a file completely; what is returned is equal if the contents are."""
    match path.suffix:
        case ".root":
            with uproot.open(path) as file:
                events = file["Events"].arrays()
            return hashlib.sha256(repr((str(events.type), events.tolist())).encode()).hexdigest()
        case ".h5" if path.with_suffix(".json").exists():  # a prepared sample
            with h5py.File(path) as file:
                names = [f"{group}/{name}" for group in file if group != "about" for name in file[group]]
                return {name: file[name][()].tolist() for name in ["about", *names]}
        case ".h5":
            return hashlib.sha256(pd.util.hash_pandas_object(pd.read_hdf(path, key="table")).to_numpy()).hexdigest()
        case ".npz":
            with np.load(path) as file:
                return {name: file[name].tolist() for name in file}
        case ".pt":
            return torch.load(path, weights_only=True)["history"]["loss"]
        case ".ipynb":
            return nbformat.read(path, as_version=4)
        case ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        case _:
            return path.read_bytes()


def contents(folder: Path) -> dict:
    """Whatever has a name of its own in a folder, with what it holds; hidden files and folders have none."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not is_hidden(path, folder)]
    paths = [path for path in paths if path.suffix != ".part"]  # of a download, which goes on from it
    return {str(path.relative_to(folder)): content(path) for path in paths}


def is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def hidden(folder: Path) -> list[str]:
    """What lies in a folder under hidden names, but for the locks, which stay."""
    paths = [path for path in folder.rglob("*") if is_hidden(path, folder) and path.suffix != ".lock"]
    return sorted(str(path.relative_to(folder)) for path in paths)


# --- faults -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What happens and when; without a moment nothing does.

    Attributes
    ----------
    signal : int
        What is sent to the process and all its children; 0 for a disk that is full.
    byte, step : int
        In a file, or among the steps counted from 1; 0 for no such moment.
    seconds : float
        After the beginning.
    """

    signal: int = 0
    byte: int = 0
    step: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How a process ended: the exit status or minus the signal, what it said, its steps, and how long it took."""

    status: int
    text: str
    steps: list[str]
    seconds: float


@cache
def _context():
    context = multiprocessing.get_context("forkserver")
    # An optimiser imports torch._dynamo, which takes longer than all else.
    context.set_forkserver_preload(["tests.faults", "coursekit.training", "coursekit.nets.deepsets", "torch._dynamo"])
    return context


def start(operation: Callable, folder: Path, version: int, fault: Fault = Fault()):
    """Begin an operation in a process of its own; returns the process and the pipe with what it says."""
    ours, theirs = _context().Pipe(duplex=False)
    process = _context().Process(target=_child, args=(operation, folder, version, fault, theirs))
    process.start()
    theirs.close()
    if ours.recv_bytes() != b"ready":
        raise RuntimeError("the process did not start")
    return process, ours


def finish(process, pipe, limit: float = 120.0) -> Outcome:
    """Wait for the end of a process and of all its children that hold its standard output."""
    began, said = time.monotonic(), b""
    while select.select([pipe], [], [], max(0.0, began + limit - time.monotonic()))[0]:
        if not (block := os.read(pipe.fileno(), 1 << 16)):
            break
        said += block
    else:
        os.killpg(process.pid, signal.SIGKILL)
        raise TimeoutError(f"{limit} s have passed; it said {said[-2000:]}")
    process.join()
    pipe.close()
    text, _, steps = said.decode().partition("\0")
    return Outcome(process.exitcode, text, steps.split(), time.monotonic() - began)


def run(operation: Callable, folder: Path, version: int, fault: Fault = Fault()) -> Outcome:
    """Run an operation to its end, good or bad."""
    process, pipe = start(operation, folder, version, fault)
    if fault.seconds:
        process.join(fault.seconds)
        if process.exitcode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, fault.signal)
    return finish(process, pipe)


def _child(name, folder, version, fault, pipe):
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):  # under nohup the tests ignore one of them
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send_bytes(b"ready")
    os.dup2(pipe.fileno(), 1)
    os.dup2(pipe.fileno(), 2)
    pipe.close()
    steps = _arm(folder, fault)
    status = 0
    try:
        OPERATIONS[name](folder, version)
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        status = 1
    sys.stderr.flush()
    print(end="\0" + " ".join(steps), flush=True)
    sys.exit(status)


def _arm(folder: Path, fault: Fault) -> list[str]:
    """Prepare the fault; returns the list to which the steps are appended."""
    if fault.byte:
        # Python ignores this signal, and gets an error like that of a full disk; by default it ends a process at once.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if fault.signal else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.byte, fault.byte))
    steps, place = [], str(folder)

    def count(event, arguments):
        if event in STEPS and str(arguments[0]).startswith(place):
            steps.append(event)
            if len(steps) == fault.step:
                os.killpg(os.getpid(), fault.signal)

    sys.addaudithook(count)
    return steps


OPERATIONS = {
    "save_jets": save_jets,
    "save_indices": save_indices,
    "Scaler.save": save_scaler,
    "PreparedSample.save": save_sample,
    "record": record,
    "shuffle ROOT": shuffle(".root"),
    "shuffle HDF5": shuffle(".h5"),
    "write hww": write_events,
    "write toptag": write_jets,
    "coursekit shuffle": command("shuffle", "{0}/../source/source.root", "{0}/shuffled.root", "--seed", "{1}"),
}
if torch:
    OPERATIONS["train"] = train
#: Those that take seconds, for the long campaign.
SLOW = {
    f"simulate {sample} {jobs}": command("simulate", sample, "--folder={0}", "--seed={1}", f"--jobs={jobs}", *size)
    for sample, size in (("hww", ["--events=100"]), ("toptag", ["--jets=40"]), ("images", ["--jets=40"]))
    for jobs in (1, 2)
}
SLOW |= {
    "build toy": command("build", "--root={2}/clone{1}", "--output={0}"),
    "build 01": command("build", "01", f"--root={ROOT}", "--output={0}"),
    "fetch": fetch,
}
OPERATIONS |= SLOW
#: Those that go on from what is there or always make the same, instead of replacing it.
WITHOUT_FORMER = ("train", "fetch", "build 01")
