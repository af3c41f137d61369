# Everything a newcomer types. `make help` lists it; `.ci/run` calls the same targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
BENCH_PACKAGES := catboost xgboost pytabkit pytorch-tabnet pytorch-widedeep rtdl_revisiting_models tab-transformer-pytorch
ROOTSTOCK_HOME ?= $(HOME)/.rootstock
DATA ?= ../shared/data
PYTEST_WORKERS ?= auto
export ROOTSTOCK_HOME DATA

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check format openapi clean bench-serving bench-quality bench-splits bench-estimates bench-new-target chaos realdata

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): constraints.txt pyproject.toml client/pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "needs $(PYTHON); set PYTHON=… to a Python 3.11 or newer"; exit 1; }
	@echo "installing pinned packages into $(VENV), a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ./client -e '.[dev]'
	@touch $@

setup: $(STAMP) ## install into .venv from the pinned constraints

demo: $(STAMP) ## table -> encoder -> heads -> predictions; TABLE=file TARGETS=a,b KEY=id DROP=x for your own
	@$(BIN)/rootstock demo $(if $(TABLE),--table "$(TABLE)") $(if $(TARGETS),--targets "$(TARGETS)") $(if $(KEY),--key "$(KEY)") $(if $(DROP),--drop "$(DROP)")

serve: $(STAMP) ## start the service and its worker on $ROOTSTOCK_HOME
	@$(BIN)/rootstock serve

test: $(STAMP) ## all tests
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal --durations 10 $(TESTS)

check: $(STAMP) ## format, lint, types, import contracts, migrations, OpenAPI
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m tests.architecture.sizes
	$(BIN)/rootstock doctor --migrations
	$(BIN)/rootstock openapi --check docs/openapi.json

format: $(STAMP) ## write the format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: $(STAMP) ## write docs/openapi.json
	$(BIN)/rootstock openapi --write docs/openapi.json

bench-serving: $(STAMP) ## cost of many heads and views, as ratios
	$(BIN)/python -m benchmarks.serving $(ARGS)

$(BENCH_STAMP): constraints.txt constraints-bench.txt pyproject.toml client/pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "needs $(PYTHON); set PYTHON=… to a Python 3.11 or newer"; exit 1; }
	@echo "installing the compared systems into $(BENCH_VENV), several minutes the first time"
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-bench.txt -e ./client -e . $(BENCH_PACKAGES)
	@touch $@

bench-quality: $(BENCH_STAMP) ## heads against other systems on real tables (DATA=dir, ARGS="--part few-labels --quick")
	$(BENCH_VENV)/bin/python -m benchmarks.quality $(ARGS)

chaos: $(STAMP) ## kill API and worker at random under five clients, then settle accounts (ARGS="--minutes 5 --database postgres")
	$(BIN)/python -m benchmarks.chaos $(ARGS)

bench-estimates: $(STAMP) ## what jobs took beside what was estimated
	$(BIN)/python -m benchmarks.estimates $(ARGS)

realdata: $(STAMP) ## register, pretrain, fine-tune, predict on real tables (DATA=dir, ARGS="--tables a,b")
	$(BIN)/python -m benchmarks.realdata $(ARGS)

bench-new-target: $(STAMP) ## seconds from labels of a new target to its first served prediction (DATA=dir)
	$(BIN)/python -m benchmarks.new_target $(ARGS)

bench-splits: $(STAMP) ## honest splits beside naive ones, on real tables (DATA=dir)
	$(BIN)/python -m benchmarks.splits $(ARGS)

clean: ## remove .venv, .venv-bench and caches (never $ROOTSTOCK_HOME)
	rm -rf $(VENV) $(BENCH_VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info client/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
