# make demo and make test are all a newcomer needs; each sets up first if it has to.
PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# A worker per core needs no further threads; a file's tests stay on one worker, which makes their
# shared runs once. Every test target, and so CI, runs like this.
PYTEST := OMP_NUM_THREADS=1 XLA_FLAGS=--xla_cpu_multi_thread_eigen=false \
  JAX_COMPILATION_CACHE_DIR=$(CURDIR)/.cache/jax JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0.2 \
  $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: setup demo app aladin test test-all slowest lint bench models docs picture notebooks clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "xbayes needs Python 3.11 or later; try: make setup PYTHON=python3"; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "no venv module: install it (Debian: apt-get install python3-venv) and try again"; rm -rf .venv; exit 2; }
	$(PIP) -e '.[test]'
	@touch $@

# What only some targets need, by the name of its extra: app, browser, lint, lsdb, peers,
# docs.
.venv/ready-%: .venv/ready
	$(PIP) -e '.[test,$*]'
	@touch $@

demo: setup
	$(BIN)/xbayes demo --overwrite

# Opens the explorer on the demo at http://127.0.0.1:8000 until Ctrl-C.
app: .venv/ready-app
	@test -e runs/demo/report.html || $(BIN)/xbayes demo --overwrite
	$(BIN)/xbayes serve runs/demo

# Aladin Lite (GPL-3, so it is not part of xbayes) for the pages of sources; needs npm.
aladin:
	@command -v npm >/dev/null || { echo "needs npm (Debian: apt-get install npm)"; exit 2; }
	mkdir -p $(HOME)/.cache/xbayes/aladin
	cd $(HOME)/.cache/xbayes/aladin && npm pack --silent aladin-lite@3.8.2 && tar xzf aladin-lite-3.8.2.tgz \
	  && cp package/dist/aladin.js aladin.js && rm -r package aladin-lite-3.8.2.tgz

test: setup
	$(PYTEST) -m "not slow"

test-all: test .venv/ready-peers .venv/ready-docs .venv/ready-browser .venv/ready-lsdb
	$(PYTEST) -m slow

# The table of the slowest tests in tests/README.md.
slowest: setup .venv/ready-peers .venv/ready-docs .venv/ready-browser .venv/ready-lsdb
	$(PYTEST) --junit-xml=.cache/tests.xml
	$(BIN)/python tests/slowest.py .cache/tests.xml

lint: .venv/ready-lint .venv/ready-peers .venv/ready-lsdb
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

# Compilation counts in these numbers, so compiled code is not kept.
bench: setup
	XBAYES_CACHE=off $(BIN)/python experiments/bench_naive_bayes/run.py

# Trains the models of xbayes/ready again, in about 20 minutes; reads the catalogues in XBAYES_DATA.
models: setup
	$(BIN)/python experiments/ready_made/make.py

# Needs no network; a warning (a broken link, a page that is in no list) is an error. The first time
# executes the notebooks, in minutes; XBAYES_NOTEBOOKS=off shows them without outputs.
docs: .venv/ready-docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

# The picture of the rooms in docs/architecture.md, from the imports.
picture: setup
	$(BIN)/python docs/architecture.py

notebooks: setup
	$(BIN)/python -m jupytext --quiet --to ipynb notebooks/[0-9]_*.py

clean:
	rm -rf .venv .cache runs docs/_build docs/_generated
