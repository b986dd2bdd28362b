# make demo: install and train the default image recipe; make test: the fast suite.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := image,music,audio,text,onnx,studio,tensorboard,test
INSTALLED := $(VENV)/.installed

.PHONY: setup demo test check slow browser test-corruption test-crash-recovery fuzz test-malicious bench benchmarks clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@start=$$(date +%s); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]' \
	  && echo "installed in $$(($$(date +%s) - start)) s" && touch $@

demo: setup
	@start=$$(date +%s); \
	$(BIN)/multigan train image \
	  && echo "trained in $$(($$(date +%s) - start)) s; look at the newest runs/image-*/samples/*.png"

test: setup  # in two processes, a file in one of them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser: setup
	$(BIN)/python -m pytest -m browser tests/browser -rs

slow: setup
	$(BIN)/python -m pytest -m slow

test-corruption: setup
	$(BIN)/python -m pytest tests/storage/test_corruption.py -m slow -q -s

test-crash-recovery: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.crash_recovery

fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz

test-malicious: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.malicious

bench: setup
	$(BIN)/python -m tests.benchmarks

benchmarks: setup
	$(BIN)/python -m tests.benchmarks.queue

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
