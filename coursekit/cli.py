"""The command line: parse, call the package, print."""

import contextlib
import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from coursekit import __version__
from coursekit.cluster import connected
from coursekit.commands import Jobs, Pairs, build
from coursekit.console import clear_errors, err, out, progress
from coursekit.grading.commands import grade
from coursekit.handout import notebooks
from coursekit.study.commands import app as study_app

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="List, fetch and verify the data of the course.")
simulate_app = typer.Typer(no_args_is_help=True, help="Make data with Pythia: any size, the same seed the same events.")
app.add_typer(data_app, name="data")
app.add_typer(simulate_app, name="simulate")
app.add_typer(study_app, name="study")
app.command()(notebooks)
app.command()(grade)

OnRay = Annotated[str | None, typer.Option(help="A Ray cluster that does it: auto, local, or HOST:PORT.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the sample; the same seed gives the same events.")]
Folder = Annotated[Path, typer.Option(help="Where the files go.")]
Jets = Annotated[int, typer.Option(min=10, help="For training, validation and test together, half of them tops.")]
SIMULATED = Path("simulated")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]


# --- data -------------------------------------------------------------------------------------------------------------


@data_app.command("list")
@clear_errors()
def data_list(as_json: AsJson = False) -> None:
    """Show every file of the catalogue: its size, and whether it is shipped, cached or absent."""
    from coursekit import data

    rows = []
    for file in data.catalogue().values():
        state, path = data.status(file.name)
        rows.append(
            {"dataset": file.dataset, "file": file.name, "bytes": file.bytes, "state": state, "path": str(path or "")}
        )
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("data set", "file", "MB", "state", box=None)
    for row in rows:
        table.add_row(row["dataset"], row["file"], f"{row['bytes'] / 1e6:.1f}" if row["bytes"] else "-", row["state"])
    out.print(table)


@data_app.command("fetch")
def data_fetch(names: Annotated[list[str], typer.Argument(help="Files, or data sets as a whole.")]) -> None:
    """Fetch files: the shipped copy, else the cache, else the network (resumed where it stopped, and verified)."""
    from coursekit import data

    with clear_errors():
        for name in _files(names):
            try:
                out.print(f"{name}: {data.fetch(name, progress=True)}", markup=False, highlight=False)
            except KeyboardInterrupt:
                err.print("Interrupted; what has arrived is kept, and the next fetch goes on from there.")
                raise typer.Exit(130) from None


@data_app.command("verify")
def data_verify(
    names: Annotated[list[str] | None, typer.Argument(help="Files or data sets; all present ones.")] = None,
):
    """Compare size and hash of present files with the registry."""
    from coursekit import data

    with clear_errors():
        bad = 0
        for name in _files(names or [name for name in data.catalogue() if data.status(name)[0] != "absent"]):
            try:
                data.verify(name)
                out.print(f"{name}: ok", highlight=False)
            except (OSError, ValueError) as error:
                bad += 1
                err.print(f"[bold red]{name}:[/] {escape(str(error))}", highlight=False)
    raise typer.Exit(1 if bad else 0)


def _files(names: list[str]) -> list[str]:
    from coursekit import data

    return [
        file for name in names for file in ([f.name for f in data.catalogue().values() if f.dataset == name] or [name])
    ]


# --- build ------------------------------------------------------------------------------------------------------------

app.command(cls=Pairs)(build)


# --- simulate ---------------------------------------------------------------------------------------------------------


@simulate_app.command("hww")
def simulate_hww(
    folder: Folder = SIMULATED,
    events: Annotated[int, typer.Option(min=1, help="Selected events of each sample.")] = 20_000,
    seed: Seed = 1,
    jobs: Jobs = 1,
    ray: OnRay = None,
) -> None:
    """H -> WW -> 2l2nu and the two Drell-Yan slices: three flat ROOT files with a tree Events."""
    _simulate("simulate_hww", folder, events=events, seed=seed, jobs=_workers(jobs, ray))


@simulate_app.command("masses")
def simulate_masses(
    folder: Folder = SIMULATED,
    events: Annotated[int, typer.Option(min=1, help="Of each mass; of the background four times as many.")] = 5000,
    seed: Seed = 1,
    jobs: Jobs = 1,
    ray: OnRay = None,
    luminosity: Annotated[float, typer.Option(min=0, help="Of the pseudo-data, in 1/fb.")] = 2.0,
) -> None:
    """H -> WW -> 2l2nu with six masses of H, the WW pairs behind it, and what 2/fb of data would be of them."""
    _simulate("simulate_masses", folder, events=events, seed=seed, jobs=_workers(jobs, ray), luminosity=luminosity)


@simulate_app.command("toptag")
def simulate_toptag(
    folder: Folder = SIMULATED, jets: Jets = 20_000, seed: Seed = 1, jobs: Jobs = 1, ray: OnRay = None
) -> None:
    """Top and QCD jets after a detector, in the layout of the public Top Quark Tagging Reference Dataset."""
    _simulate("simulate_toptag", folder, jets=jets, seed=seed, jobs=_workers(jobs, ray))


@simulate_app.command("images")
def simulate_images(
    folder: Folder = SIMULATED,
    jets: Jets = 20_000,
    seed: Seed = 1,
    jobs: Jobs = 1,
    ray: OnRay = None,
    second_jet: Annotated[bool, typer.Option(help="The second jet must lie in the same ranges.")] = True,
    interactions: Annotated[bool, typer.Option(help="The protons' other partons collide too; slower.")] = False,
) -> None:
    """Harder, wider jets without a detector, for jet images: R = 1.0, 750 to 950 GeV."""
    settings = {"second_jet": second_jet, "multiple_interactions": interactions}
    _simulate("simulate_jet_images", folder, jets=jets, seed=seed, jobs=_workers(jobs, ray), **settings)


@simulate_app.command("flavour")
def simulate_flavour(
    folder: Folder = SIMULATED,
    jets: Annotated[int, typer.Option(min=1, help="Of all flavours together.")] = 15_000,
    seed: Seed = 1,
    jobs: Jobs = 1,
    ray: OnRay = None,
    min_pthat: Annotated[float, typer.Option(min=0, max=2000, help="GeV, of the top quarks: harder jets.")] = 0.0,
    tracks: Annotated[bool, typer.Option(help="The tracks, most of the file.")] = True,
) -> None:
    """Jets of b, c and light quarks from top pairs, and what flavour tagging knows of them: a ROOT file, tree jets."""
    _simulate(
        "simulate_flavour", folder, jets=jets, seed=seed, jobs=_workers(jobs, ray), min_pthat=min_pthat, tracks=tracks
    )


@simulate_app.command("jetclasses")
def simulate_jet_classes(
    folder: Folder = SIMULATED,
    jets: Annotated[int, typer.Option(min=6, help="Of all classes together.")] = 72_000,
    seed: Seed = 1,
    jobs: Jobs = 1,
    ray: OnRay = None,
) -> None:
    """Jets of quarks, gluons, W, Z and H as the detector of toptag sees them: a ROOT file in the layout of JetClass."""
    _simulate("simulate_jet_classes", folder, jets=jets, seed=seed, jobs=_workers(jobs, ray))


def _workers(jobs: int, ray: str | None) -> int | str:
    if ray and jobs > 1:
        raise typer.BadParameter("--jobs is a number of processes here, --ray a cluster that does it all: take one")
    return ray or jobs


def _simulate(name: str, folder: Path, **settings) -> None:
    from coursekit import simulate

    with clear_errors(), progress() as report, contextlib.ExitStack() as stack:
        if isinstance(settings["jobs"], str):
            stack.enter_context(connected(settings["jobs"]))  # once for all samples
        paths = getattr(simulate, name)(folder, progress=report, **settings)
    for path in paths:
        out.print(f"{path}  {path.stat().st_size / 1e6:.1f} MB", highlight=False)


# --- shuffle ----------------------------------------------------------------------------------------------------------


@app.command()
def shuffle(
    source: Annotated[Path, typer.Argument(help="A ROOT file with a tree, or an HDF5 file with a table.")],
    target: Annotated[Path, typer.Argument(help="The same events in random order.")],
    memory: Annotated[str, typer.Option(help="What the process may take, whatever the size of the file.")] = "500MB",
    seed: Seed = 1,
    key: Annotated[str | None, typer.Option(help="Name of the tree (Events) or table (table).")] = None,
) -> None:
    """Bring the events of a file into random order, however large it is, in two sequential passes."""
    import numpy as np

    from coursekit import streaming

    with clear_errors(), progress() as report:
        plan = streaming.shuffle_file(source, target, np.random.default_rng(seed), memory, key, report)
    out.print(f"{target}: {plan.n_events} events in random order", highlight=False)
    if plan.left_out:
        out.print(f"left out: {', '.join(plan.left_out)}", highlight=False)


# --- export ---------------------------------------------------------------------------------------------------------


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="A network of Keras (.keras), or an ONNX file of this command.")],
    prepared: Annotated[Path | None, typer.Option(help="The prepared sample of a Keras network's training.")] = None,
    onnx: Annotated[Path | None, typer.Option(help="Write an ONNX file, which takes raw inputs.")] = None,
    cpp: Annotated[Path | None, typer.Option(help="Write C++ into this folder.")] = None,
    lwtnn: Annotated[Path | None, typer.Option(help="Write a JSON file for lwtnn.")] = None,
) -> None:
    """Take a trained network out of Python, scaling and default values inside, compared before it is kept."""
    from coursekit.export.saved import export_saved

    with clear_errors():
        for path in export_saved(source, prepared, onnx=onnx, cpp=cpp, lwtnn=lwtnn):
            out.print(path, markup=False, highlight=False)
    if cpp is not None:
        out.print(
            f"compile it: cd {shlex.quote(str(cpp))} && g++ -O2 -std=c++17 main.cpp -o classify -lopenblas",
            markup=False,
            highlight=False,
        )


# --- doctor -----------------------------------------------------------------------------------------------------------


@app.command()
@clear_errors()
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, what differs from constraints.txt, whether a GPU is seen, and which data are present."""
    from coursekit.doctor import examine

    found = examine()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    out.print(f"coursekit {__version__}, Python {found['python']} on {found['platform']}, {found['cores']} cores")
    out.print(f"GPU: {found['gpu']}", markup=False)
    out.print(
        f"Python version: {'supported' if found['python_supported'] else '[red]not supported, take 3.11 to 3.13[/]'}"
    )
    for remedy in dict.fromkeys(found["missing"].values()):  # a line for each extra, not for each of its packages
        names = [name for name, needed in found["missing"].items() if needed == remedy]
        out.print(f"not installed: {', '.join(names)}, needed for {remedy}", markup=False)
    for name, versions in found["differ"].items():
        out.print(f"{name} {versions['installed']} is installed, constraints.txt has {versions['constraints']}")
    if not found["differ"]:
        out.print("Every version is that of constraints.txt.")
    for name, state in found["data"].items():
        out.print(f"data: {name} {state}")


if __name__ == "__main__":
    app()
