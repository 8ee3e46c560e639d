# make demo            set up and restore the bundled recording (FILE=my.wav restores yours)
# make test            set up and run the tests
# make check           style, types, floors
# make docs            build the documentation into docs/_build
# make bench-*         measure; results go to docs/benchmarks.md (DATA=FOLDER of recordings, docs/benchmarks.md)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
FILE ?=
DATA ?= data

.PHONY: demo test check docs model clean bench-speed bench-net bench-cmgan bench-engine bench-loader bench-default bench-score \
	bench-coverage bench-metrics bench-evaluate bench-references bench-report bench-tfgridnet bench-calls bench-memory \
	bench-defect bench-descent bench-null bench-noise bench-reference bench-dit bench-superres bench-splice bench-cases \
	bench-doctor bench-doctor-quick

demo: $(VENV)/.demo
ifeq ($(FILE),)
	@$(BIN)/auscult enhance examples/noisy -o restored --overwrite
	@echo
	@$(BIN)/auscult evaluate --data examples --enhanced restored -o evaluation --overwrite
else
	@$(BIN)/auscult enhance "$(FILE)" --overwrite
endif

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -W -q -b html docs docs/_build

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "auscult needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing auscult into $(VENV) ..."
	@$(PIP) -e ".[eval]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing auscult with everything for development into $(VENV) ..."
	@$(PIP) -e ".[dev]"
	@touch $@

# Train the built-in model again, from nothing to the files in the package.
model: $(VENV)/.dev
	$(BIN)/auscult train bandgru --data $(DATA)
	$(BIN)/python benchmarks/publish.py "$$(ls -td runs/bandgru-*/ | head -1)"

bench-net: $(VENV)/.dev
	$(BIN)/python benchmarks/net.py

bench-cmgan: $(VENV)/.dev
	$(BIN)/python benchmarks/cmgan.py

bench-tfgridnet: $(VENV)/.dev
	$(BIN)/python benchmarks/tfgridnet.py

bench-dit: $(VENV)/.dev
	$(BIN)/python benchmarks/dit.py

bench-engine: $(VENV)/.dev
	$(BIN)/python benchmarks/engine.py

bench-loader: $(VENV)/.dev
	$(BIN)/python benchmarks/loader.py --data $(DATA)

bench-default: $(VENV)/.dev
	$(BIN)/auscult evaluate --data $(DATA)/vbdmd_p257 --model default -o results/default

bench-coverage: $(VENV)/.dev
	$(BIN)/python benchmarks/coverage.py

bench-metrics: $(VENV)/.dev
	$(BIN)/python benchmarks/metrics.py --data $(DATA)

bench-evaluate: $(VENV)/.dev
	$(BIN)/python benchmarks/evaluate.py --data $(DATA)

bench-references: $(VENV)/.dev
	$(BIN)/python benchmarks/references.py --data $(DATA)

bench-report: $(VENV)/.dev
	$(BIN)/python benchmarks/report.py

# RUN=runs/score-small-XXXXXXXX, after auscult train score-small --data $(DATA)
bench-score: $(VENV)/.dev
	$(BIN)/python benchmarks/score.py --data $(DATA) --run $(RUN)

# RUN as above, PAIRS=mixtures, a folder from python benchmarks/mixtures.py --data $(DATA) --out mixtures
bench-calls: $(VENV)/.dev
	$(BIN)/python benchmarks/calls.py --run $(RUN) --data $(PAIRS)

bench-memory: $(VENV)/.dev
	$(BIN)/python benchmarks/memory.py

# studies: hours on two cores; results are in docs/systems
bench-defect: $(VENV)/.dev
	$(BIN)/auscult train cmgan-small --data $(DATA) --runs runs-cmgan
	$(BIN)/auscult train cmgan-small --data $(DATA) --runs runs-cmgan --set method.reproduce_published_level_defect=true
	$(BIN)/python benchmarks/level_defect.py runs-cmgan

# PAIRS=folder with clean/ and noisy/
bench-descent: $(VENV)/.dev
	$(BIN)/python benchmarks/descent.py --clean $(PAIRS)/clean --noisy $(PAIRS)/noisy

bench-null: $(VENV)/.dev
	$(BIN)/python benchmarks/null_model.py --data $(DATA) --out runs-null --train

bench-noise: $(VENV)/.dev
	$(BIN)/python benchmarks/noise_conditioning.py --data $(DATA) --out runs-noise --train

# MODEL=run folder or file, to have it beside them
bench-superres: $(VENV)/.dev
	$(BIN)/python benchmarks/superres_baselines.py --data $(DATA) $(if $(MODEL),--model $(MODEL))

bench-splice: $(VENV)/.dev
	$(BIN)/python benchmarks/superres_splice.py --data $(DATA)

# RUNS: run folders of shipped recipes, three seeds or more each (benchmarks/reference_curves.py)
bench-reference: $(VENV)/.dev
	$(BIN)/python benchmarks/reference_curves.py $(RUNS)

# the four real cases of docs/cases replayed, each with its healthy twin; RUNS=folder with run folders by case
bench-cases: $(VENV)/.dev
	$(BIN)/python benchmarks/cases.py --data $(DATA) $(if $(RUNS),--runs $(RUNS))

# how far the doctor can be trusted (docs/trust.md): hours, resumable; OUT=folder for cases and verdicts, JOBS=cores
OUT ?= runs-doctor
JOBS ?= 2
bench-doctor: $(VENV)/.dev
	$(BIN)/python -m benchmarks.doctor --data $(DATA) --out $(OUT) --jobs $(JOBS) --harm --cure --split dev
	$(BIN)/python -m benchmarks.doctor --data $(DATA) --out $(OUT) --jobs $(JOBS) --cure --split test

bench-doctor-quick: $(VENV)/.dev
	$(BIN)/python -m benchmarks.doctor --data $(DATA) --out $(OUT) --jobs $(JOBS) --quick

bench-speed: bench-net bench-engine bench-loader

clean:
	rm -rf $(VENV) restored evaluation docs/_build .pytest_cache .mypy_cache .ruff_cache .coverage
