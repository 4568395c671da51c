"""One HTML page with every figure and table of a study, which needs no other file; the figures as files beside it."""

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from coursekit.files import replacing
from coursekit.metrics import Estimate
from coursekit.plots import STYLE

_WIDE = 7.5  # inches; a wider figure has a row of the page for itself


class Label(NamedTuple):
    """What stands above every figure: the experiment, in bold, and what else is to be said."""

    experiment: str
    rest: str = ""


class Page:
    """A page that grows section by section, and is written by `save`.

    Parameters
    ----------
    folder : path-like
        Where ``index.html``, ``figures`` and ``tables`` are written.
    title : str
    formats : sequence of str
        Of the files of figures: ``png``, ``pdf``, ``svg``. In the page itself they are PNG, whatever is said here.
    facts : mapping of str to str
        Below the title: the run, its date, the versions.
    label : Label, optional
        On every figure.

    Examples
    --------
    >>> import tempfile
    >>> page = Page(tempfile.mkdtemp(), "A study")
    >>> page.section("Numbers")
    >>> page.add("auc", "Area under the ROC curve.", table=pd.DataFrame({"AUC": [Estimate(0.95, 0.01)]}))
    >>> page.save().name
    'index.html'
    """

    def __init__(
        self,
        folder,
        title: str,
        formats: Sequence[Literal["png", "pdf", "svg"]] = ("png",),
        *,
        facts: Mapping[str, str] | None = None,
        label: Label | None = None,
    ):
        self.folder, self.title, self.formats = Path(folder), title, tuple(formats)
        self.facts, self.label = dict(facts or {}), label
        self.sections: list[dict] = []
        self.summary: dict[str, object] = {}
        self._names: set[str] = set()

    def section(self, title: str, text: str = "") -> None:
        """Begin a section; what is added from now on belongs to it."""
        taken = {section["anchor"] for section in self.sections} | {"results", "study"}
        stem = anchor = "section-" + (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "untitled")
        while anchor in taken:
            anchor = f"{stem}-{len(self.sections)}"
        texts = [text] if text else []
        self.sections.append({"title": title, "anchor": anchor, "texts": texts, "notes": [], "shown": []})

    def note(self, text: str) -> None:
        """Say in this section what could not be drawn, and why."""
        self._section()["notes"].append(text)

    def result(self, quantity: str, value) -> None:
        """Put a number into the table at the beginning of the page: an Estimate, or text."""
        if quantity in self.summary:
            raise ValueError(f"the summary of the page has {quantity!r} already: give this number another name")
        self.summary[quantity] = value

    def add(
        self,
        name: str,
        caption: str,
        figure: Figure | None = None,
        table: pd.DataFrame | None = None,
        alt: str = "",
        folded: bool = False,
    ) -> None:
        """Add a figure, a table, or a figure with its table below, and write their files.

        Parameters
        ----------
        name : str
            Of the files, ``figures/NAME.FORMAT`` and ``tables/NAME.csv``; letters, digits, ``_``, ``-``.
        caption : str
            What is shown, of which events, with which errors.
        figure : matplotlib.figure.Figure, optional
            It gets the label of the experiment, and is closed.
        table : pandas.DataFrame, optional
            An Estimate becomes two columns of the CSV file, the value and its error.
        alt : str
            What there is to see, for those who cannot see the figure; by default the caption.
        folded : bool
            Show the table only when it is asked for.

        Raises
        ------
        ValueError
            A name that is taken or no name of a file, no caption, or neither a figure nor a table.
        OSError
            As `coursekit.files.replacing`.
        """
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name) or name in self._names:
            raise ValueError(f"{name!r} is {'taken' if name in self._names else 'no name for the file of a figure'}")
        if not caption.strip() or (figure is None and table is None):
            raise ValueError(f"{name}: a caption and a figure or a table are needed")
        self._names.add(name)
        item = {"name": name, "caption": caption, "alt": alt or caption, "files": []}
        if figure is not None:
            item |= self._draw(name, figure, item["files"])
        if table is not None:
            item |= self._write(name, table, item["files"], folded)
        self._section()["shown"].append(item)

    @contextmanager
    def figure(
        self,
        name: str,
        caption: str,
        *,
        alt: str = "",
        table: pd.DataFrame | None = None,
        folded: bool = False,
        rows: int = 1,
        columns: int = 1,
        size: tuple[float, float] | None = None,
        **subplots,
    ) -> Iterator:
        """Draw a figure in the course's style, and add it when the block ends well; as `coursekit.plots.figure`.

        Parameters
        ----------
        name, caption, alt, table, folded
            As in `add`.
        rows, columns : int
            Panels.
        size : tuple of float, optional
            Inches; by default 6 x 4.2 a panel.
        **subplots
            Passed to `matplotlib.pyplot.subplots`.

        Yields
        ------
        matplotlib.axes.Axes or numpy.ndarray of them
        """
        with plt.rc_context(STYLE):
            drawn, axes = plt.subplots(rows, columns, figsize=size or (6.0 * columns, 4.2 * rows), **subplots)
            try:
                yield axes
                self.add(name, caption, drawn, table, alt, folded)
            finally:
                plt.close(drawn)

    def save(self, resolved: str = "") -> Path:
        """Write the page and return its path, ``index.html``.

        Parameters
        ----------
        resolved : str
            The study file with all its defaults, folded up at the end of the page.
        """
        try:
            import jinja2
        except ImportError as error:
            raise ImportError('The page of a study needs Jinja2: pip install "coursekit[studies]"') from error
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
        text = template.render(
            title=self.title,
            facts=self.facts,
            summary=self.summary,
            sections=_finished(self.sections),
            resolved=resolved,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / "index.html") as partial:
            partial.write_text(text, encoding="utf-8")
        return self.folder / "index.html"

    def _section(self) -> dict:
        if not self.sections:
            raise ValueError("the page has no section yet: begin with page.section(title)")
        return self.sections[-1]

    def _draw(self, name: str, figure: Figure, files: list[str]) -> dict:
        if self.label:
            _stamp(figure, self.label)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=144)
        (self.folder / "figures").mkdir(parents=True, exist_ok=True)
        for kind in self.formats:
            files.append(f"figures/{name}.{kind}")
            with replacing(self.folder / files[-1]) as partial:
                if kind == "png":
                    partial.write_bytes(picture.getvalue())
                else:  # without the date: the same figure is the same file
                    figure.savefig(partial, format=kind, metadata={"CreationDate" if kind == "pdf" else "Date": None})
        plt.close(figure)
        width = figure.get_size_inches()[0]
        image = base64.b64encode(picture.getvalue()).decode()
        return {"image": image, "width": round(100 * width), "wide": bool(width > _WIDE)}

    def _write(self, name: str, table: pd.DataFrame, files: list[str], folded: bool) -> dict:
        (self.folder / "tables").mkdir(parents=True, exist_ok=True)
        files.append(f"tables/{name}.csv")
        with replacing(self.folder / files[-1]) as partial:
            partial.write_text(_separate(table).to_csv(lineterminator="\n"), encoding="utf-8")
        head = [table.index.name or "", *map(str, table.columns)]
        rows = [[str(at), *map(_text, row)] for at, row in zip(table.index, table.itertuples(index=False), strict=True)]
        letters = sum(max(map(len, column)) + 3 for column in zip(head, *rows, strict=True))
        return {"head": head, "rows": rows, "folded": folded} | ({"wide": True} if letters > 62 and not folded else {})


def _finished(sections: list[dict]) -> list[dict]:
    """Give each item every key that the template asks for."""
    empty = {"image": "", "width": 0, "rows": [], "head": [], "wide": False, "folded": False}
    return [section | {"shown": [empty | item for item in section["shown"]]} for section in sections]


def _stamp(figure: Figure, label: Label) -> None:
    """Write the experiment in bold italics above the figure, and the rest behind it."""
    name = figure.suptitle(label.experiment, x=0.02, ha="left", fontsize=12, fontweight="bold", fontstyle="italic")
    figure.axes[0].annotate(
        label.rest, (1, 0), (6, 0), xycoords=name, textcoords="offset points", fontsize=11, va="bottom",
        annotation_clip=False, in_layout=False,
    )  # fmt: skip


def _text(value) -> str:
    """Return a cell as it is read: numbers to four digits, nothing for what is missing."""
    if isinstance(value, Estimate):
        return "∞" if value.value == float("inf") else str(value)
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _separate(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which values and errors have columns of their own."""
    columns = {}
    for place, name in enumerate(table.columns):
        column = table.iloc[:, place]
        if column.map(lambda value: isinstance(value, Estimate)).any():
            pairs = [value if isinstance(value, Estimate) else Estimate(value, float("nan")) for value in column]
            columns[name] = [pair.value for pair in pairs]
            columns[f"{name} error"] = [pair.error for pair in pairs]
        else:
            columns[name] = column.to_numpy()
    return pd.DataFrame(columns, index=table.index)
