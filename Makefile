# GNU make. Everything is installed into .venv; call with PYTHON=python3.12 to build it from another Python.

PYTHON ?= python3
ARGS ?=
# Relative, so that a folder with spaces in its name works too.
BIN := .venv/bin
INSTALLED := .venv/.installed

TOO_OLD := $(PYTHON) is missing or older than Python 3.11: install Python 3.11 or newer and name it, as in: make setup PYTHON=python3.12
NO_DATA := DATA names no folder: give the one that holds CUB_200_2011 and 11k_hands, as in: make run-real DATA=/data
BUILD := import torch, torchvision; \
	devices = ["cpu"] + [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]; \
	devices += ["mps"] if torch.backends.mps.is_available() else []; \
	print("torch", torch.__version__, "| torchvision", torchvision.__version__, "| devices:", ", ".join(devices))

# Those of 05 are of three trainings with more steps of the completer, as the notebook says.
FIGURES := prior poses tracks_vs_truth

FILMS := data/films3d
ROAD := --source $(FILMS)/clips --labels $(FILMS)/labeled/labels.csv --to $(FILMS)/character.obj

.PHONY: help setup run road run-real notebooks test test-browser bench lint docs docs-links clean
.DELETE_ON_ERROR:

help:
	@echo "make setup                 create .venv and install the kit with everything it needs"
	@echo "make run                   synthetic puppets through notebooks 01 to 05 (further options in ARGS=...)"
	@echo "make road                  ten built-in films to named points, 3D motion and a moving character: runs/video-people/road"
	@echo "make run-real DATA=folder  the same for three CUB classes and for 11k Hands"
	@echo "make notebooks             put the notebooks and README figures of the last make run into the repository"
	@echo "make test                  all tests, the notebooks at smoke scale included"
	@echo "make test-browser          notebooks, pages of runs and batches in the system's Chromium; pictures in .browser/"
	@echo "make bench                 what each method costs beside the published form, in six to eight minutes; also bench.json"
	@echo "make lint                  ruff, mypy and import-linter"
	@echo "make docs                  the documentation as a site that can be searched: docs/_build/html/index.html"
	@echo "make docs-links            try the links of the documentation to other sites"
	@echo "make clean                 remove caches and build leftovers; .venv, data and runs stay"

setup: $(INSTALLED)

# One pip command, so that torch and torchvision are resolved together.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo '$(TOO_OLD)' >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -e ".[data,mesh,motion,lab,onnx,dev]"
	$(BIN)/python -m ipykernel install --sys-prefix
	@$(BIN)/python -c '$(BUILD)'
	@touch $@

run: setup
	$(BIN)/pplkit run puppets $(ARGS)

road: setup
	@test -f $(FILMS)/character.obj || $(BIN)/python -m data_prep.films3d $(FILMS)
	$(BIN)/pplkit road video-people $(ROAD) --preset films --set keypoints=24 steps=600 --option rate=8 $(ARGS)

run-real:
	@test -d "$(DATA)" || { echo '$(NO_DATA)' >&2; exit 1; }
	@$(MAKE) --no-print-directory setup
	$(BIN)/pplkit run cub --source "$(DATA)/CUB_200_2011" --option classes=1,2,3 $(ARGS)
	$(BIN)/pplkit run hands --source "$(DATA)/11k_hands" $(ARGS)

notebooks: setup
	$(BIN)/python -c 'from pathlib import Path; from pplkit.experiments.notebooks import publish; publish(Path("runs/puppets"), Path("notebooks"), ["05_occlusion"])'
	mkdir -p docs && for name in $(FIGURES); do cp runs/puppets/figures/$$name.png docs/; done

test: setup
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# The browser is the system's; playwright only drives it.
test-browser: setup
	@$(BIN)/python -c 'import playwright' 2>/dev/null || $(BIN)/python -m pip install -e ".[browser]"
	$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

bench: setup
	$(BIN)/python tests/benchmarks/bench_methods.py $(ARGS)

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	@$(BIN)/python -c 'import furo, myst_nb, sphinx' 2>/dev/null || $(BIN)/python -m pip install -e ".[docs]"
	$(BIN)/python docs/build.py $(ARGS)

docs-links:
	@$(MAKE) --no-print-directory docs ARGS="--builder linkcheck"

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache build dist docs/_build *.egg-info
	find pplkit data_prep tests notebooks '(' -name __pycache__ -o -name .ipynb_checkpoints ')' -prune -exec rm -rf {} +
