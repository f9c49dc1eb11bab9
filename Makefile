# make reproduce | test | audit | doctor | check | format | bench | bench-gpu | torture | torture-long | slurm-test | lab | site | table | clean
PYTHON ?= python3
PROFILE ?= quick
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SITE_READY := $(VENV)/.ready-site

.PHONY: reproduce test audit doctor check format bench bench-gpu torture torture-long slurm-test lab site table clean

reproduce: $(READY)  ## Runs a profile end to end; does nothing when it is up to date, resumes when it was killed
	@echo "Reproducing the profile '$(PROFILE)': results go to data/results/$(PROFILE)/, figures to figures/."
	@$(BIN)/python -m lib.reproduce $(PROFILE)
	@echo "Done. Open figures/$(PROFILE)_final_accuracy.png, or run 'make lab'."

test: $(SITE_READY)  ## The tests, without those marked slow, in two processes
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

audit: $(READY)  ## What RL did to a model: BASE, TRAINED, DATA and SPLIT, or a file of SAMPLES (docs/audit.md)
	@test -z "$(SAMPLES)" || test -z "$(BASE)$(TRAINED)" || { echo "Give SAMPLES, or BASE and TRAINED, but not both."; exit 1; }
	@$(BIN)/python -m lib.auditor $(if $(SAMPLES),"$(SAMPLES)","$(BASE)" "$(TRAINED)" "$(DATA)" $(if $(SPLIT),split=$(SPLIT)) $(SETTINGS))

doctor: $(READY)  ## Says whether this machine can run PROFILE, and what to change if it cannot
	@$(BIN)/python -m lib.doctor $(PROFILE)

check: $(READY)  ## Lint and formatting, notebooks included; which room imports which; types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY)  ## Speed, as ratios within one run
	@$(BIN)/python -m tests.bench

bench-gpu: $(READY)  ## Where a step's time and memory go, on this machine's GPU; an hour or two
	@$(BIN)/python -m tests.bench.gpu

torture: $(READY)  ## Kills, damaged files and a full disk, ten minutes; torture-long: the quick profile's shape
	@$(BIN)/python -m tests.torture

slurm-test: $(READY)  ## The smoke profile on a SLURM of one node, as root; says what is missing
	@$(BIN)/python -m pytest -m slow -rs tests/slurm

torture-long: $(READY)
	@$(BIN)/python -m tests.torture long

lab: $(READY)  ## JupyterLab on localhost; open the address with the token that it prints
	@$(BIN)/jupyter lab --ip=127.0.0.1 --no-browser --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

site: $(SITE_READY)  ## Notebooks, solutions and docs as pages that need no network: runs/site/html; best after `make reproduce`
	@$(BIN)/python -m lib.site

table: $(READY)  ## Puts the tables of results, objectives and data sets into their pages
	@$(BIN)/python -m lib.reports.pages

clean:  ## Removes runs and caches; keeps .venv, committed results and figures
	rm -rf runs .snakemake .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis unsloth_compiled_cache

$(READY): requirements.txt requirements-no-deps.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
	  "This kit needs Python 3.11 to 3.13, but $(PYTHON) is %d.%d: run make PYTHON=python3.12 …" % v)'
	@test -x $(BIN)/pip || { echo "Creating $(VENV) with $(PYTHON)."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing the pinned packages into $(VENV): a few minutes, once."
	@$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar on -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-no-deps.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(READY)

$(SITE_READY): $(READY) requirements-site.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-site.txt
	@touch $(SITE_READY)
