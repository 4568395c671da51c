# Each target sets up what it needs in .venv. `make course PYTHON=python3.12` takes another interpreter (3.11 to 3.13).
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 1
SUPPORTED = import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit("$(PYTHON) is Python %d.%d, and \
pythia8mc has wheels for 3.11 to 3.13 only: install python3.13, then make $(MAKECMDGOALS) PYTHON=python3.13" % v)

.PHONY: course lab test book benchmarks clean
.DELETE_ON_ERROR:

## course: execute every solution on the shipped data and print a table
course: .venv/build
	$(BIN)/coursekit build --output executed --jobs $(JOBS)

## lab: open the exercises in JupyterLab
lab: .venv/lab
	$(BIN)/jupyter lab notebooks

## test: the whole test suite
test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 3

## book: the web book from the committed solutions, into book/html; nothing is executed, and a warning is an error
book: .venv/book
	$(BIN)/python -m sphinx -M html docs book -E -q --keep-going --fail-on-warning

## benchmarks: ours beside the obvious way, as ratios
benchmarks: .venv/test
	$(BIN)/python -m pytest -n 0 --dist no --benchmark-columns=median,rounds benchmarks/bench_*.py

FRAMEWORKS := ,simulate,keras,torch,export,studies
.venv/book: FRAMEWORKS :=

.venv/build .venv/lab .venv/test .venv/book: .venv/%: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -c '$(SUPPORTED)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[$*$(FRAMEWORKS)]"
	$(BIN)/python -W ignore -m compileall -qq -j 0 .venv/lib || true  # on all cores, where pip takes one; not all of it compiles
	touch $@

clean:
	rm -rf .venv executed work book docs/lessons docs/reference .pytest_cache .ruff_cache .benchmarks
