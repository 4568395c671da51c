"""What waiting threads cost: one training alone, beside a second one, and beside three busy processes.

Run with ``python benchmarks/bench_threads.py``: takes three minutes. Each training is a Deep Sets of 64 (or 32) units
on batches of 128 jets with 50 constituents, in a process of its own, with as many threads as there are cores. "As it
is" are the defaults of the OpenMP runtimes, "ours" what ``import coursekit`` sets; the two take turns, and the ratios
are of medians. A machine's own noise is 30%.
"""

import json
import os
import statistics
import subprocess
import sys
import time

from coursekit import threads

SECONDS, ROUNDS = 4, 3
BESIDE = {"alone": (0, 0), "beside a second training": (1, 0), "beside three busy processes": (0, 3)}


def train_for(seconds, units):
    """Return the jets per second of a training, its first second not counted."""
    import torch
    from torch import nn

    from coursekit.nets.deepsets import DeepSets

    torch.manual_seed(1)
    net = DeepSets(4, phi=(units, units, units), latent=units, rho=(units, units, units))
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    features, counts, labels = torch.randn(128 * 50, 4), torch.full((128,), 50), torch.arange(128.0)[:, None] % 2
    start, n_jets = time.monotonic() + 1, 0
    while (now := time.monotonic()) < start + seconds:
        loss = nn.functional.binary_cross_entropy_with_logits(net(features, counts), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        n_jets += 128 * (now > start)
    return n_jets / seconds


def environment(ours):
    """What a process starts with: the runtimes' own way to wait, which had to be looked up, or ours."""
    waiting = threads.WAITING if ours else {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}
    return os.environ | dict.fromkeys(threads.NUMBERS, str(os.cpu_count())) | waiting


def speed(ours, units, trainings, busy):
    """Return the mean speed of 1 + `trainings` trainings at once, beside some processes that do nothing but count."""
    command = [sys.executable, __file__, str(units)]
    options = {"env": environment(ours), "stdout": subprocess.PIPE, "encoding": "utf-8"}
    counting = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        running = [subprocess.Popen(command, **options) for _ in range(1 + trainings)]
        return statistics.mean(json.loads(process.communicate()[0]) for process in running)
    finally:
        for process in counting:
            process.kill()
            process.wait()


def main():
    for units in (64, 32):
        for name, others in BESIDE.items():
            rounds = [[speed(ours, units, *others) for ours in (False, True)] for _ in range(ROUNDS)]
            as_it_is, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(
                f"{units} units, {name}: as it is {as_it_is:,.0f} jets/s each, ours {ours:,.0f}, {ours / as_it_is:.2f}"
            )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(train_for(SECONDS, int(sys.argv[1]))))
    else:
        main()
