"""``coursekit study``: run studies, look at them, and compare them."""

import contextlib
import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table
from typer.core import TyperGroup

from coursekit.console import clear_errors, err, out, progress
from coursekit.files import replacing
from coursekit.study.extras import how_to_get
from coursekit.words import near


@contextlib.contextmanager
def _errors():
    """Errors of one line, and of a package that is missing how to get it."""
    with clear_errors():
        try:
            yield
        except ModuleNotFoundError as error:
            said = how_to_get(error)
            if said is None:
                raise
            raise ImportError(said) from None


class Studies(TyperGroup):
    """Commands, and files: what is no command is a study file to run."""

    def parse_args(self, ctx, args: list[str]) -> list[str]:
        """Put ``run`` before the name of a file, or before its options."""
        first = args[0] if args else "--help"
        if first not in self.commands and first != "--help":
            is_file = first.startswith("-") or Path(first).suffix in (".yaml", ".yml") or Path(first).exists()
            if not is_file:
                ctx.fail(f"{first} is no file and no command;{near(first, self.commands) or ' see --help'}")
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=Studies,
    no_args_is_help=True,
    help="A whole analysis from one file: `coursekit study FILE.yaml ...` runs it, the commands look at what came.",
    subcommand_metavar="FILE.yaml ... | COMMAND [ARGS]...",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the log while it is written.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE instead of what the file says.")]
Timing = Annotated[bool, typer.Option("--time", "-t", help="Show seconds and peak memory of each step.")]
Debug = Annotated[bool, typer.Option("--debug", "-d", help="Few events, 2 epochs, 3 trials: does it run at all?")]
Run = Annotated[Path, typer.Argument(help="A run folder.")]


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="Study files; several are run one after the other.")],
    resume: Annotated[bool, typer.Option("--resume", "-r", help="Go on with the latest unfinished run.")] = False,
    debug: Debug = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check files, columns and shapes; write nothing.")] = False,
    timing: Timing = False,
    verbose: Verbose = False,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Run studies; one that fails does not stop the next. The exit status is 1 if one has failed."""
    with _errors(), progress() as report:
        from coursekit.study.queue import Options, run_all

        done = run_all(files, Options(resume, debug, dry_run, verbose, tuple(settings or ())), report)
    if as_json:
        print(json.dumps([one.as_dict() for one in done], indent=1))
    else:
        for one in done:
            _show(one, timing)
    failed = [one for one in done if one.error]
    if len(done) > 1:
        err.print(f"{len(done) - len(failed)} of {len(done)} studies have come to their end", highlight=False)
    raise typer.Exit(1 if failed else 0)


def _show(done, timing: bool) -> None:
    for line in done.plan:
        out.print(line, markup=False, highlight=False)
    if done.error:
        err.print(f"[bold red]Error:[/] {escape(done.said())}", highlight=False)
    if done.run is None:
        return
    out.print(f"{done.run.path}: {done.run.status()}  {done.numbers()}", markup=False, highlight=False)
    if timing:
        table = _table("step", "seconds", "peak MiB")
        for row in done.run.facts().get("steps", []):
            table.add_row(row["step"], f"{row['seconds']:.1f}", str(row["peak_mib"] or "-"))
        out.print(table)


@app.command()
@_errors()
def show(file: Path, settings: Settings = None, as_json: AsJson = False) -> None:
    """Print the whole study with all defaults, and behind each value where it was said."""
    from coursekit.study.run import resolve
    from coursekit.study.writing import show as written

    resolved = resolve(file, settings or ())
    if as_json:
        print(json.dumps({"values": resolved.values, "origins": resolved.origins}, indent=1))
    else:
        print(written(resolved), end="")


@app.command("list")
@_errors()
def list_runs(
    folder: Annotated[Path, typer.Argument(help="Where runs lie, or those of one study.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Show all runs: their status, steps, and the numbers that they are known by."""
    from coursekit.study.compare import key_numbers
    from coursekit.study.folder import RunFolder, runs

    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; name the one that job.folder says")
    rows = []
    for one in runs(folder) or [RunFolder.open(folder)]:
        row = {"name": one.path.parent.name, "run": one.path.name, "status": "damaged", "steps": []}
        row |= {"numbers": "", "reason": None, "folder": str(one.path)}
        try:
            facts = one.facts()
            row |= {"status": one.status(), "steps": [step["step"] for step in facts.get("steps", [])]}
            row |= {"numbers": key_numbers(one), "reason": facts.get("reason")}
        except ValueError as error:  # of this run alone
            row["reason"] = str(error)
        rows.append(row)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = _table("name", "run", "status", "steps done", "results")
    for row in rows:
        table.add_row(
            row["name"],
            row["run"],
            row["status"],
            ", ".join(row["steps"]),
            escape(row["numbers"] or row["reason"] or ""),
        )
    out.print(table)


@app.command()
@_errors()
def diff(one: Path, other: Path, as_json: AsJson = False) -> None:
    """Name the keys in which two runs or files differ, and the results that differ."""
    from coursekit.study.compare import compare

    found = compare(one, other)
    if as_json:
        print(json.dumps(_as_dict(found), indent=1))
    else:
        _print_comparison(found, str(one), str(other))


@app.command()
@_errors()
def rerun(folder: Run, timing: Timing = False, verbose: Verbose = False, as_json: AsJson = False) -> None:
    """Run the resolved study of a folder again into a new one, and say what differs."""
    from coursekit.study import compare
    from coursekit.study.queue import Done

    with progress() as report:
        new, found = compare.rerun(folder, report, verbose)
    if as_json:
        print(json.dumps({"folder": str(new.path), **_as_dict(found)}, indent=1))
        return
    _show(Done(folder / "study.yaml", new), timing)
    _print_comparison(found, str(folder), str(new.path))


@app.command()
@_errors()
def migrate(
    old: Annotated[Path, typer.Argument(help="A file of the older framework.")],
    new: Annotated[Path, typer.Argument(help="The study file to write.")],
) -> None:
    """Write a file of the older framework again as a study, and say what has no counterpart."""
    from coursekit.study.migration import migrate as migrated

    if new.exists():
        raise FileExistsError(f"{new} exists: choose another name")
    text, notes = migrated(old)
    with replacing(new) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    for note in notes:
        err.print(note, markup=False, highlight=False)
    out.print(f"{new}: look at it with `coursekit study show {new}`", markup=False, highlight=False)


@app.command()
@_errors()
def schema() -> None:
    """Print the JSON schema of study files, with which editors complete and check them."""
    from coursekit.study.writing import schema as written

    print(json.dumps(written(), indent=1))


def _table(*names: str) -> Table:
    """Return a table whose cells are folded where there is too little room, and never cut."""
    return Table(*(Column(name, overflow="fold") for name in names), box=None)


def _as_dict(found) -> dict:
    return {
        "settings": found.settings,
        "origin": found.origin,
        "results": [row._asdict() for row in found.results],
        "compared": found.compared,
    }


def _to_five_digits(one: str, other: str) -> tuple[str, str]:
    """Shorten the numbers in two texts, unless they would be equal then."""
    short = [re.sub(r"\d+\.\d{5,}(e[+-]\d+)?", lambda found: f"{float(found[0]):.5g}", text) for text in (one, other)]
    return (one, other) if short[0] == short[1] else (short[0], short[1])


def _print_comparison(found, one: str, other: str) -> None:
    for line in found.settings or ["the studies say the same"]:
        out.print(line, markup=False, highlight=False)
    for line in found.origin:
        out.print(f"made with {line}", markup=False, highlight=False)
    if found.results:
        table = _table("result", one, other)
        for row in found.results:
            table.add_row(*map(escape, (row.key, *_to_five_digits(row.one, row.other))))
        out.print(table)
    elif found.compared:
        out.print(f"all {found.compared} results are equal", highlight=False)
