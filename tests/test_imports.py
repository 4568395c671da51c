"""Who may import whom, and what importing the package costs."""

import ast
import json
import subprocess
import sys

import pytest

#: From low to high; a module imports only from the levels below its own.
LEVELS = [
    {
        "answers",
        "arrays",
        "console",
        "files",
        "notebooks",
        "perturbing",
        "receiving",
        "surroundings",
        "threads",
        "words",
    },
    {"cluster", "locks", "prose", "reproducing", "schemas", "trees"},
    {"branches"},
    {"data", "events", "jets", "meter", "metrics", "nets", "precision", "schedules", "weights"},
    {"checkpoints", "images", "ledger", "losses", "observables", "plots"}
    | {"preprocess", "recipe", "simulate", "splitting"}
    | {"streaming"},
    {"doctor", "handout", "ladder", "lesson", "prepared", "training"},
    {"authoring", "checks", "export"},
    {"building", "classroom", "mutants", "slides", "timetable"},
    {"grading", "shaking", "study"},
    {"commands"},
    {"cli"},
]
HEAVY = {"tensorflow", "keras", "torch", "pythia8mc", "fastjet", "onnx", "onnxruntime", "onnxscript", "sofie"}
HEAVY |= {"hyperopt", "jinja2", "optuna", "pydantic", "pyhf", "ray"}
#: Where each heavy package may be imported, inside functions or not.
HOMES = {
    "tensorflow": {"nets", "study"},
    "keras": {"export", "nets", "streaming", "study"},
    "torch": {"checkpoints", "export", "jets.packed", "losses", "nets", "precision", "streaming", "study"}
    | {"training"},
    "pythia8mc": {"simulate"},
    "fastjet": {"simulate"},
    "jinja2": {"grading.report", "study"},
    **{key: {"study"} for key in ["hyperopt", "numexpr", "optuna", "pyarrow", "pydantic", "pyhf", "yaml"]},
    "ray": {"cluster", "study"},
    **{key: {"export"} for key in ["onnx", "onnxruntime", "onnxscript", "sofie"]},
}


def modules(root):
    for path in sorted((root / "coursekit").rglob("*.py")):
        parts = path.relative_to(root / "coursekit").with_suffix("").parts
        yield path, parts[0]


def imported(tree):
    """Every imported module of a syntax tree, functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_imports_point_down(root):
    level = {name: height for height, names in enumerate(LEVELS) for name in names}
    wrong = []
    for path, own in modules(root):
        if own == "__init__":
            continue
        assert own in level, f"{path} is a new module: give it a level in {__file__}"
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            parts = name.split(".")
            if parts[0] != "coursekit" or len(parts) < 2 or parts[1] == own or parts[1] not in level:
                continue
            if level[parts[1]] >= level[own]:
                wrong.append(f"{path.relative_to(root)} imports {name}")
    assert not wrong


@pytest.mark.parametrize("module", ["nets", "metrics"])
def test_takes_arrays_and_imports_nothing_of_ours(root, module):
    for path, own in modules(root):
        if own == module:
            ours = {
                name for name in imported(ast.parse(path.read_text(encoding="utf-8"))) if name.startswith("coursekit")
            }
            assert all(name.startswith((f"coursekit.{module}", "coursekit.arrays")) for name in ours), path


def test_checks_never_import_nets(root):
    for path, own in modules(root):
        if own == "checks":
            assert not any(
                name.startswith("coursekit.nets") for name in imported(ast.parse(path.read_text(encoding="utf-8")))
            ), path


def test_heavy_packages_stay_at_home(root):
    for path, own in modules(root):
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            package = name.split(".")[0]
            homes = HOMES.get(package, {own})
            assert own in homes or f"{own}.{path.stem}" in homes, f"{path} imports {package}"


def test_levels_and_homes_name_modules_that_exist(root):
    there = {name for path, own in modules(root) for name in (own, f"{own}.{path.stem}")}
    named = set().union(*LEVELS, *HOMES.values())
    assert named <= there, f"no such modules: {sorted(named - there)}"


def fresh(code):
    """Run code in a new interpreter and return what it prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    return json.loads(done.stdout)


def test_importing_the_package_loads_next_to_nothing():
    loaded = set(fresh("import coursekit, sys, json; print(json.dumps([m.split('.')[0] for m in sys.modules]))"))
    assert not loaded & (HEAVY | {"numpy", "pandas", "matplotlib", "uproot", "awkward", "sklearn"})


def test_the_names_of_the_lessons_load_no_framework():
    code = "from coursekit import *; import sys, json; print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    assert not set(fresh(code)) & (HEAVY | {"nbformat", "jsonschema"})  # whose grammars take two seconds


def test_what_exports_loads_no_framework_before_it_is_used():
    code = "import coursekit.export, sys, json; print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    assert not set(fresh(code)) & HEAVY


def test_jets_and_what_is_made_of_them_load_no_framework():
    code = "import coursekit.jets, coursekit.images, coursekit.observables, coursekit.streaming, sys, json; "
    assert not set(fresh(code + "print(json.dumps([m.split('.')[0] for m in sys.modules]))")) & HEAVY


def test_public_names_are_these():
    # Lessons in other people's hands use these names: removing one breaks their course.
    import coursekit

    assert set(coursekit.__all__) == {
        "__version__",
        "check",
        "fetch",
        "figure",
        "hint",
        "load_events",
        "or_reference",
        "progress",
        "setup",
        "show",
    }
    assert all(callable(getattr(coursekit, name)) for name in coursekit.__all__ if name != "__version__")
    with pytest.raises(AttributeError, match="no attribute 'chek'"):
        coursekit.chek  # noqa: B018
