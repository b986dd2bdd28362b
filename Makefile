# make demo: install and train the default image recipe; make test: the fast suite.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := image,music,audio,text,hub,onnx,studio,tensorboard,test
INSTALLED := $(VENV)/.installed
DOCS_VENV := .venv-docs
RELEASE_VENV := build/release-check
LOGGERS_VENV := build/loggers-venv
OLDER := build/older-transformers

.PHONY: setup demo test test-random check docs docs-commands slow browser fuzz bench benchmarks release-check clean
.PHONY: test-corruption test-crash-recovery test-malicious test-loggers real-files load
.PHONY: test-older-transformers

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@start=$$(date +%s); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]' \
	  && echo "installed in $$(($$(date +%s) - start)) s" && touch $@

demo: setup
	@start=$$(date +%s); \
	$(BIN)/multigan train image \
	  && echo "trained in $$(($$(date +%s) - start)) s; the images are in the newest runs/image-*/samples/"

test: setup  # two processes; each file stays within one process and in file order
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-random: setup  # files, and the tests of each, in random order; the seed of the order is printed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --random-order-bucket=module

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(DOCS_VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  mkdocs mkdocs-material 'mkdocstrings[python]' && touch $@

docs: $(DOCS_VENV)/.installed  # needs no torch: the reference is read from the source
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --site-dir build/site

docs-commands: setup  # every command and Python block of the pages that `make test` leaves out
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow -k "(does_what_it_shows or python_about) and not melody" \
	  tests/test_documentation.py tests/music/test_documented_results.py

browser: setup
	$(BIN)/python -m pytest -m browser tests/browser -rs

slow: setup
	$(BIN)/python -m pytest -m slow

test-corruption: setup
	$(BIN)/python -m pytest tests/storage/test_corruption.py -m slow -q -s

test-crash-recovery: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.crash_recovery

test-loggers:  # their packages are heavy, and pin others to older versions than constraints.txt
	$(PYTHON) -m venv $(LOGGERS_VENV)
	grep '^torch' constraints.txt > $(LOGGERS_VENV)/constraints.txt
	$(LOGGERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  -c $(LOGGERS_VENV)/constraints.txt -e '.[music,text,tensorboard]' pytest scikit-learn
	$(LOGGERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  -c $(LOGGERS_VENV)/constraints.txt -e '.[wandb,mlflow,trackio]'
	OMP_NUM_THREADS=1 $(LOGGERS_VENV)/bin/python -m pytest tests/training/test_loggers.py -m '' -q -s

fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz

test-malicious: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.malicious

test-older-transformers: setup  # no weight file causes a request, with transformers 4.50 either
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(OLDER) \
	  'transformers==4.50.*' 'tokenizers>=0.21,<0.22' 'huggingface_hub>=0.26,<1'
	OLDER_TRANSFORMERS=$(CURDIR)/$(OLDER) $(BIN)/python -m pytest tests/text/test_hf_config.py \
	  -k request -q -rs

real-files: setup  # the cases of ../shared/cases and their relatives, then published songs; tables
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.real_files
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.real_songs

load: setup  # time, memory and open files of large sets, with limits; 200,000 images take an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.load
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.large_set

bench: setup
	$(BIN)/python -m tests.benchmarks

benchmarks: setup
	$(BIN)/python -m tests.benchmarks.queue

release-check:  # sdist and wheel; the wheel in an empty environment samples every domain
	rm -rf dist $(RELEASE_VENV)
	$(PYTHON) -m venv $(RELEASE_VENV)
	$(RELEASE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check build
	$(RELEASE_VENV)/bin/python -m build --outdir dist .
	$(RELEASE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  "$$(ls $(CURDIR)/dist/*.whl)[image,music,text]"
	cd $(RELEASE_VENV) && export OMP_NUM_THREADS=1 && for name in image music pop text; do \
	  bin/multigan sample $$name -n 2 --out samples/$$name || exit 1; done
	cd $(RELEASE_VENV) && export OMP_NUM_THREADS=1 && for name in arrays points; do \
	  bin/multigan train $$name --tiny --no-report --out $$name \
	  && bin/multigan sample $$name -n 2 --out samples/$$name || exit 1; done

clean:
	rm -rf $(VENV) $(DOCS_VENV) build dist .pytest_cache .mypy_cache .ruff_cache
