# make demo and make test are all a newcomer needs; each sets up first if it has to.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.2

.PHONY: setup demo test lint bench docs notebooks clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "xbayes needs Python 3.11 or later; try: make setup PYTHON=python3"; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "no venv module: install it (Debian: apt-get install python3-venv) and try again"; rm -rf .venv; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[app,peers,lsdb,dev,docs]'
	@touch $(READY)

demo: setup
	$(BIN)/xbayes demo --overwrite

# A file's tests stay on one worker, which makes their shared runs once; in the order of the files, for
# the slow ones are not last. A worker a core needs no threads.
test: export XLA_FLAGS ?= --xla_cpu_multi_thread_eigen=false
test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

# Compilation counts in these numbers, so the cache of compiled code stays out.
bench: setup
	env -u JAX_COMPILATION_CACHE_DIR $(BIN)/python experiments/bench_naive_bayes/run.py

# Needs no network; a warning (a broken link, a page that is in no list) is an error.
docs: setup
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

notebooks: setup
	$(BIN)/python -m jupytext --quiet --to ipynb notebooks/[0-9]_*.py

clean:
	rm -rf .venv .cache runs docs/_build docs/_generated
