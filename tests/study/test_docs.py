"""The reference of study files says what is true: each key and figure it names exists, and each key is in it."""

import ast
import functools
import itertools
import json
import re
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest

from coursekit.study.documents import read_document
from coursekit.study.former import FORMER
from coursekit.study.reading import read_study
from coursekit.study.settings import Study
from coursekit.study.settings.base import keys, section_at
from coursekit.study.writing import flow, schema

ROOT = Path(__file__).parents[2]
PAGE, SCHEMA = ROOT / "docs" / "studies.md", ROOT / "docs" / "study.schema.json"
REFRESH = "run `python -m tests.study.test_docs`, which writes it again"
START, END = "<!-- keys: written by `python -m tests.study.test_docs` -->\n", "<!-- end of keys -->\n"


@functools.cache
def fresh():
    return schema()


def reference():
    """A table for each section: its keys, their defaults, and what they mean."""
    lines, section = [], None
    for key, field in keys(Study):
        if key.startswith(("input.backgrounds.*.", "input.data.*.")):
            continue  # as those of a signal
        name = key.partition(".")[0]
        if "." not in key:
            meaning = section_at(Study, (name,))[0].__doc__.strip().split("\n")[0]
            lines += ["", f"### {name}", "", meaning, "", "| Key | Default | Meaning |", "|---|---|---|"]
            section = name
            continue
        assert name == section
        inside = [part.__doc__.strip().split("\n")[0] for part in section_at(Study, key.split("."))]
        meaning = " ".join((field.description or " ".join(inside)).split()).replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{key}` | {_default(field)} | {meaning} |")
    return "\n".join([*lines[1:], "", "A sample of `input.backgrounds` or `input.data` has the keys of a signal.", ""])


def _default(field):
    if field.is_required():
        return "must be said"
    value = field.get_default(call_default_factory=True)
    if hasattr(value, "model_dump"):
        return ""
    return f"`{flow(value)}`" if value is not None else "none"


def table():
    """The rows of the table of the older framework: theirs, ours, figures."""
    text = PAGE.read_text(encoding="utf-8").split("| There |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines()[2:]]


def words(text):
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def figure_names():
    """The names of all figures and tables, with a star for what is known only when they are drawn."""
    found = set()
    for path in (ROOT / "coursekit" / "study" / "report").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.add("".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values))
    return found


def test_every_key_that_is_named_exists():
    there = {key for key, _ in keys(Study)}
    text = PAGE.read_text(encoding="utf-8").split(START)[0]
    sections = "|".join(Study.model_fields)
    named = {word for word in words(text) if re.fullmatch(rf"(?:{sections})\.[\w.*]+", word)}
    assert len(named) > 80
    assert sorted(named - there - set(FORMER)) == []


def test_every_figure_that_is_named_is_drawn():
    named = [name for *_, figures in table() for name in words(figures)]
    assert len(named) > 15
    assert sorted(set(named) - figure_names()) == []


def test_every_row_is_served_and_every_key_of_the_older_framework_is_in_a_row():
    rows = table()
    assert all(len(row) == 3 and row[0] and row[1] for row in rows)
    theirs = {word for row in rows for word in words(row[0])}
    assert sorted({key.partition(".")[2] for key in FORMER} - theirs) == []


def test_options_and_commands_exist():
    text = PAGE.read_text(encoding="utf-8")
    commands = (ROOT / "coursekit" / "study" / "commands.py").read_text(encoding="utf-8")
    assert {f'"{option}"' for option in re.findall(r"`(--\w+)`", text)} <= set(re.findall(r'"--\w+"', commands))
    for name in re.findall(r"`coursekit study ([a-z]+)", text):
        assert re.search(rf'def {name}\(|command\("{name}"\)', commands), name


def test_the_examples_are_studies(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "study.yaml"
    path.write_text(blocks[0], encoding="utf-8")
    study = read_study(path).study
    assert study.train.early_stopping.patience == 3
    path.write_text(blocks[0].split("input:")[0] + blocks[1] + "  features: [x]\n", encoding="utf-8")
    top = read_study(path).study.input.backgrounds["top"]
    assert (top.scale, top.cut, Path(top.files[0]).name) == (1.1, "mll > 12", "top.root")


def test_the_errors_of_the_guide_are_those_that_come(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL).group(1)
    path = tmp_path / "study.yaml"
    wrong = "train:\n  test_rate: 0.2\n\n  cut: x\n"
    path.write_text(example.replace("train:\n", wrong).replace("1e-3}", "1e-3, nesterov: yes}"), encoding="utf-8")
    with pytest.raises(ValueError, match="test_rate") as caught:
        read_study(path)
    shown = re.search(r"```text\n(.*?)```", text, re.DOTALL).group(1).splitlines()
    for line, came in zip(shown, caught.value.lines, strict=True):
        assert came.replace(f"{tmp_path}/", "").startswith(line.removesuffix(" ...")), came


def test_the_page_has_all_keys_with_what_they_mean():
    assert all(line.split("|")[3].strip() for line in reference().splitlines() if line.startswith("| `"))
    written = PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]
    assert written == reference(), f"{PAGE}: {REFRESH}"


def test_the_schema_is_that_of_the_program():
    pinned = re.search(r"^pydantic==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    if version("pydantic") != pinned.group(1):
        pytest.skip(f"other releases of pydantic than {pinned.group(1)} word a schema otherwise")
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == fresh(), f"{SCHEMA}: {REFRESH}"


def studies():
    """All study files of the repository that name a job."""
    found = itertools.chain(ROOT.glob("lessons/*/**/*.yaml"), ROOT.glob("examples/**/*.yaml"))
    return [path for path in found if re.search(r"^job:", path.read_text(encoding="utf-8"), re.MULTILINE)]


@pytest.mark.parametrize("path", studies(), ids=lambda path: path.name)
def test_example_studies_are_valid_by_the_schema(path):
    jsonschema.validate(read_document(path).values, fresh() | {"required": []})  # what it includes may say the rest
    jsonschema.validate(read_study(path).values, fresh())


def test_the_schema_accepts_the_example_and_refuses_what_is_wrong(tmp_path):
    jsonschema.Draft202012Validator.check_schema(fresh())
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "study.yaml"
    path.write_text(blocks[0], encoding="utf-8")
    values = read_document(path).values
    jsonschema.validate(values, fresh())
    jsonschema.validate(read_study(path).values, fresh())
    for key, value in (("epochs", "many"), ("epoch", 3), ("folds", 1), ("task", "sorting")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(values | {"train": {key: value}}, fresh())


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(before + START + reference() + END + rest.split(END)[1], encoding="utf-8")
