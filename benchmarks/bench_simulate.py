"""What simulating jets costs: Pythia's share, beside a loop over particles, and with two processes.

Run with ``python benchmarks/bench_simulate.py``: takes two minutes; every ratio compares times of this one run.
"""

import os
import time
from functools import partial

import awkward as ak
import numpy as np

from coursekit.jets import unpack
from coursekit.simulate import toptag
from coursekit.simulate.chunks import run_chunks
from coursekit.simulate.clustering import cluster
from coursekit.simulate.detector import energy_flow
from coursekit.simulate.pythia import generate, make_pythia
from coursekit.simulate.toptag import (
    EARLY_MARGIN,
    TOPTAG,
    leading_jets,
    leading_parton_jet_outside,
    simulate_jet_chunk,
)

SETTINGS = ("Beams:eCM = 14000.", "PartonLevel:MPI = off", "PhaseSpace:pTHatMin = 300.", "PhaseSpace:pTHatMax = 800.")


class Clock:
    """Adds up processor time, which other programs on the machine disturb least."""

    def __init__(self):
        self.seconds = {}

    def __call__(self, name, function, *arguments):
        start = time.process_time()
        result = function(*arguments)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        return result


def bare_next(pythia, events):
    """Pythia alone, its record left unread: nothing can be faster."""
    for _ in range(events):
        pythia.next()


def loop_over_particles(pythia, events):
    """The obvious way to jets: no detector, a Python loop over the particles of each event, FastJet event by event."""
    import fastjet

    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 0.8)
    for _ in range(events):
        pythia.next()
        particles = [
            fastjet.PseudoJet(p.px(), p.py(), p.pz(), p.e())
            for p in pythia.event
            if p.isFinal() and p.isVisible() and abs(p.eta()) < 4.9
        ]
        sequence = fastjet.ClusterSequence(particles, definition)
        jets = fastjet.sorted_by_pt(sequence.inclusive_jets(500.0))
        if jets:
            [(c.px(), c.py(), c.pz(), c.e()) for c in jets[0].constituents()]


def share_of_pythia(process, batches=4):
    """Print where the time of one sample goes."""
    settings = [*SETTINGS, *toptag.PROCESSES[process]]
    clock, rng = Clock(), np.random.default_rng(1)
    plain = [make_pythia(settings, 1) for _ in range(2)]
    low, high = TOPTAG.veto_pt
    veto, early_veto = (leading_parton_jet_outside(0.8, low - margin, high + margin) for margin in (0, EARLY_MARGIN))
    pythia = clock("start Pythia", make_pythia, settings, 1, veto, early_veto)
    n_jets = 0
    for _ in range(batches):
        clock("next() alone", bare_next, plain[0], TOPTAG.chunk)
        clock("loop over particles", loop_over_particles, plain[1], TOPTAG.chunk)
        particles = clock("Pythia, with vetoes", generate, pythia, TOPTAG.chunk)
        objects = unpack(*clock("detector", energy_flow, particles, rng))
        clock("clustering", cluster, objects, 0.8, 550.0)
        n_jets += len(clock("detector, clustering, matching", leading_jets, particles, process == "top", TOPTAG, rng))
    batch = make_pythia(settings, 1)
    for _ in range(batches):
        clock("nextBatch", generate, batch, TOPTAG.chunk)
    seconds = clock.seconds
    print(f"\n{process}: {batches * TOPTAG.chunk} events, {n_jets} jets, milliseconds of one core per event")
    for name, value in seconds.items():
        print(f"  {name:32s} {1000 * value / (batches * TOPTAG.chunk):7.2f}")
    rest = seconds["detector, clustering, matching"]
    bare = seconds["next() alone"]
    loop = seconds["loop over particles"] - bare
    print(f"  all but Pythia / Pythia with vetoes: {rest / seconds['Pythia, with vetoes']:.2f}")
    print(f"  all but Pythia / bare next():        {rest / bare:.2f}; with a loop over particles {loop / bare:.2f}")
    print(f"  nextBatch as arrays / bare next():   {seconds['nextBatch'] / bare:.2f}")
    print(f"  jets per second and core:            {n_jets / (seconds['Pythia, with vetoes'] + rest):.0f}")


def scaling(chunks=10):
    """Print how much faster two processes are, their start included, and how much more processor time they take.

    On a busy machine only the latter says something: 1.0 there means twice the rate on two idle cores.
    """
    work = partial(simulate_jet_chunk, TOPTAG, "qcd", 1)
    seconds, processor, results = [], [], []
    for jobs in (1, 2):
        start, before = time.perf_counter(), sum(os.times()[:4])
        results.append(ak.concatenate([jets for jets, _ in run_chunks(work, range(chunks), jobs)]))
        seconds.append(time.perf_counter() - start)
        processor.append(sum(os.times()[:4]) - before)
    assert ak.array_equal(*results)
    print(
        f"\n{chunks} chunks with 1 and 2 processes: {seconds[0]:.1f} s and {seconds[1]:.1f} s, "
        f"{seconds[0] / seconds[1]:.2f} times the rate; processor time {processor[1] / processor[0]:.2f} times"
    )


def writing(jets=5000):
    """Print what the files cost for each jet."""
    import tempfile

    from coursekit.jets import load_jets, save_jets

    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(1)
        counts = rng.integers(20, 80, jets)
        made = unpack(rng.exponential(10, (counts.sum(), 4)).astype(np.float32), counts)
        clock = Clock()
        clock("write", save_jets, f"{folder}/jets.h5", made, np.arange(jets) % 2, None, 0, toptag.MANTISSA_BITS)
        clock("read", load_jets, f"{folder}/jets.h5")
    print("\nfiles, milliseconds per jet:", {name: round(1000 * s / jets, 3) for name, s in clock.seconds.items()})


if __name__ == "__main__":
    for name in toptag.PROCESSES:
        share_of_pythia(name)
    writing()
    scaling()
