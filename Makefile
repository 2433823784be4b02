# Two commands do everything on a fresh machine, set-up included: `make generate` and `make test`.
# Set-up speaks on standard error, so standard output is the command's own.

MAKEFLAGS += --no-print-directory
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

TEXT ?=
OUTPUT ?= runs/$(if $(TEXT),$(basename $(notdir $(TEXT))),alice)
DATASET ?= data/alice
ARGS ?=

.PHONY: setup generate train space test lint benchmark publish audit
.DELETE_ON_ERROR:

generate: .venv/generate.done  ## 500 characters from the packaged Alice; ARGS="--seed 7" goes to generate.py
	@$(BIN)/python scripts/generate.py $(ARGS)

train: setup  ## corpus, training, evaluation and a sample: make train TEXT=my.txt OUTPUT=runs/mine
	@$(BIN)/python scripts/build_corpus.py $(if $(TEXT),--text "$(TEXT)") --output_dir "$(OUTPUT)/corpus"
	@$(BIN)/python scripts/train.py --config scripts/configs/alice.yaml --dataset "$(OUTPUT)/corpus" \
		--output_dir "$(OUTPUT)" --train_split train+validation $(ARGS)
	@$(BIN)/python scripts/evaluate.py --model "$(OUTPUT)" --dataset "$(OUTPUT)/corpus" --json "$(OUTPUT)/evaluation.json"
	@$(BIN)/python scripts/generate.py --model "$(OUTPUT)"

space: setup  ## the Space, on http://127.0.0.1:7860; MODEL_ID=runs/mine make space shows another model
	@$(BIN)/python space/app.py

test: setup  ## the fast tests, on two processes
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --quiet $(ARGS)

publish: setup  ## model, corpus and Space to the Hub; ARGS="--model ... --repo_id ..." goes to publish.py
	@$(BIN)/python scripts/publish.py $(ARGS)

benchmark: setup  ## speed, memory and quality anew, with a corpus of Alice: make benchmark DATASET=runs/alice/corpus
	@for verb in generation memory scale streaming serving temperatures; do \
		$(BIN)/python scripts/benchmark.py $$verb --json scripts/results/$$verb.json || exit 1; done
	@for verb in training quality; do \
		$(BIN)/python scripts/benchmark.py $$verb --dataset "$(DATASET)" --json scripts/results/$$verb.json || exit 1; done
	@$(BIN)/python scripts/benchmark.py tables

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

audit: setup  ## known holes in what constraints.txt pins; needs a network: what could not be audited is a failure
	@$(PIP) --editable ".[audit]" >&2
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

setup: .venv/setup.done

.venv/bin/python:
	@$(PYTHON) -m venv .venv >&2

.venv/generate.done: constraints.txt pyproject.toml | .venv/bin/python
	@$(PIP) numpy safetensors tokenizers >&2
	@$(PIP) --no-deps --editable . >&2
	@touch $@

.venv/setup.done: constraints.txt pyproject.toml | .venv/bin/python
	@$(PIP) --editable ".[train,test]" >&2
	@touch $@ .venv/generate.done
