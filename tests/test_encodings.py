"""Every text is read and written as UTF-8, whatever the locale; what ruff's PLW1514 does not see is looked for here."""

import ast
import re

import pytest

MODE = re.compile(r"[rwxa][+bt]*")


def without_encoding(tree):
    """Yield the lines on which Python would take the encoding of the locale."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not {"encoding", None} & {word.arg for word in node.keywords}:
            if is_text_file(node) or any(is_text_pipe(word.arg, word.value) for word in node.keywords):
                yield node.lineno
        elif isinstance(node, ast.Dict):
            options = {getattr(key, "value", None): value for key, value in zip(node.keys, node.values, strict=True)}
            if "encoding" not in options and any(is_text_pipe(*option) for option in options.items()):
                yield node.lineno


def is_text_file(call):
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name not in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile"):
        return False
    given = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    values = [argument.value for argument in given if isinstance(argument, ast.Constant)]
    modes = [value for value in values if isinstance(value, str) and MODE.fullmatch(value)]
    if modes:
        return "b" not in modes[0]
    method = isinstance(call.func, ast.Attribute)
    return (name == "open" and method and not given) or (name == "open" and not method and len(given) == 1)


def is_text_pipe(name, value):
    return name in ("text", "universal_newlines") and getattr(value, "value", False) is True


@pytest.mark.parametrize("folder", ["coursekit", "tests", "benchmarks", "."])
def test_no_text_is_read_or_written_as_the_locale_has_it(root, folder):
    paths = (root / folder).glob("*.py") if folder == "." else (root / folder).rglob("*.py")
    found = [
        f"{path.relative_to(root)}:{line}"
        for path in paths
        for line in without_encoding(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, 'say encoding="utf-8" in ' + ", ".join(found)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("path.read_text()", 1),
        ("path.write_text(text)", 1),
        ("open(name)", 1),
        ("open(name, 'w')", 1),
        ("path.open()", 1),
        ("path.open('a+')", 1),
        ("subprocess.run(command, text=True)", 1),
        ("options = {'text': True}", 1),
        ("tempfile.NamedTemporaryFile('w')", 1),
        ("open(name, 'rb'); path.open(mode='wb'); uproot.open(path); archive.open('y.npy')", 0),
        ("path.read_text(encoding='utf-8'); path.read_text('utf-8'); open(name, **options)", 0),
        ("subprocess.run(command, encoding='utf-8'); tempfile.TemporaryFile()", 0),
    ],
)
def test_it_is_found(code, found):
    assert len(list(without_encoding(ast.parse(code)))) == found
