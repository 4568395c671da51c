"""What all commands share: where they print, progress bars, and errors of one line."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["clear_errors", "err", "one_line", "out", "progress", "say"]

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


@contextlib.contextmanager
def clear_errors():
    """Turn the package's errors into one line and exit status 1; a traceback helps nobody at a command line."""
    try:
        with _tidying():
            yield
    except KeyboardInterrupt:
        err.print("Interrupted; nothing half-written remains.")
        raise typer.Exit(130) from None
    except (OSError, ValueError, KeyError, ImportError, MemoryError) as error:
        # Escaped, or rich takes the extra in `coursekit[simulate]` for a colour and drops it.
        err.print(f"[bold red]Error:[/] {escape(one_line(error))}", highlight=False)
        raise typer.Exit(1) from None


def one_line(error: Exception) -> str:
    """Return what an error says, and with what it happened if a note tells that.

    Examples
    --------
    >>> one_line(KeyError("no branch ptl3")), one_line(MemoryError())
    ('no branch ptl3', 'there is too little memory')
    """
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(
        [message or "there is too little memory", *(f"({note})" for note in getattr(error, "__notes__", []))]
    )


@contextlib.contextmanager
def _tidying():
    """Let the end of a batch job and a closed terminal do what Ctrl-C does, so that nothing half-written remains."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # nohup ignores one
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Draw a progress bar on stderr for each name that the callback ``(name, done, total)`` is called with."""
    columns = TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    tasks = {}
    with Progress(*columns, console=err) as bar:

        def report(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name)
            bar.update(tasks[name], completed=done, total=total)

        yield report


def say(line: str) -> None:
    """Print a line on stderr as it is, above the progress bars."""
    err.print(line, markup=False, highlight=False)
