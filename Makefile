# Two commands do everything on a fresh machine, set-up included: `make generate` and `make test`.
# Set-up speaks on standard error, so standard output is the command's own.

MAKEFLAGS += --no-print-directory
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
INSTALL := $(PIP) install --constraint constraints.txt

TEXT ?=
OUTPUT ?= runs/$(if $(TEXT),$(basename $(notdir $(TEXT))),alice)
KIND ?=
BASE ?=
MODEL ?= alice
RECIPE := $(if $(BASE),tune,$(if $(filter item,$(KIND)),names,alice))
ROWS := $(if $(and $(BASE),$(filter item,$(KIND))),--row_length 0 --per_device_train_batch_size 64)
DATASET ?= data/alice
MODEL_ID ?=
PAGE ?= runs/page
ARGS ?=
TRANSFORMERS := $(subst ==,-,$(shell grep ^transformers== constraints.txt))

.PHONY: help setup generate train rebuild space page test search faults upstream lint benchmark publish wheel audit
.DELETE_ON_ERROR:

generate: .venv/generate.done  ## 500 characters from the packaged Alice; ARGS="--seed 7" goes to the verb
	@$(BIN)/char-lstm generate $(ARGS)

train: setup  ## corpus, training, evaluation and a sample: make train TEXT=my.txt OUTPUT=runs/mine [BASE=english] [KIND=item]
	@$(BIN)/char-lstm build $(if $(TEXT),--text "$(TEXT)" --pad_to_max_length false) \
		$(if $(KIND),--sequence $(KIND)) --output_dir "$(OUTPUT)/corpus"
	@$(BIN)/char-lstm train --config $(RECIPE) --dataset "$(OUTPUT)/corpus" \
		$(if $(BASE),--init_from "$(BASE)" $(ROWS),--suggest_base true) \
		--output_dir "$(OUTPUT)" --train_split train+validation $(ARGS)
	@$(BIN)/char-lstm evaluate --model "$(OUTPUT)" --dataset "$(OUTPUT)/corpus" --json "$(OUTPUT)/evaluation.json" \
		> "$(OUTPUT)/evaluation.txt"
	@echo; echo "It writes:"; $(if $(filter item,$(KIND)), \
		$(BIN)/char-lstm generate --model "$(OUTPUT)" --items 20 --unique || \
		$(BIN)/char-lstm generate --model "$(OUTPUT)" --items 20 --unique --json, \
		$(BIN)/char-lstm generate --model "$(OUTPUT)")
	@echo; echo "The model is in $(OUTPUT), its loss curve in $(OUTPUT)/loss.png."; cat "$(OUTPUT)/evaluation.txt"
	@echo; echo "Write more:   .venv/bin/char-lstm generate --model $(OUTPUT) --prompt \"once upon a time\""
	@echo "Look inside:  .venv/bin/char-lstm inspect --model $(OUTPUT) --text \"once upon a time\" --output page.html"
	@echo "Share:        .venv/bin/char-lstm page --model $(OUTPUT) --output page.html --single_file"
	@echo "Publish:      .venv/bin/char-lstm package --run $(OUTPUT) --dataset $(OUTPUT)/corpus \\"
	@echo "                  --output_dir $(OUTPUT)/packaged --text_name \"My Text\" &&"
	@echo "              .venv/bin/char-lstm publish --model $(OUTPUT)/packaged --repo_id USER/NAME"

rebuild: setup  ## a packaged model trained anew by the recipe of its name, and compared: make rebuild MODEL=alice
	@$(BIN)/char-lstm build $(if $(TEXT),--text "$(TEXT)") --output_dir "runs/rebuilt/corpus"
	@$(BIN)/char-lstm train --config "$(MODEL)" --dataset runs/rebuilt/corpus --output_dir "runs/rebuilt/$(MODEL)" \
		--train_split train+validation $(ARGS)
	@$(BIN)/char-lstm verify "$(MODEL)" --dataset runs/rebuilt/corpus --rebuilt "runs/rebuilt/$(MODEL)"

space: setup  ## the Space, on http://127.0.0.1:7860; MODEL_ID=runs/mine make space shows another model
	@$(BIN)/python space/app.py

page: setup  ## the model in the browser, no server: make page MODEL_ID=runs/mine PAGE=docs/page [ARGS=--single_file]
	@$(BIN)/char-lstm page $(if $(MODEL_ID),--model "$(MODEL_ID)") --output "$(PAGE)" $(ARGS)

test: setup  ## the fast tests, in two processes
	@$(BIN)/python -m pytest --numprocesses 2 --quiet -p no:randomly $(ARGS)

search: setup  ## the tests of any text and any bytes, on thousands of random examples instead of always the same ones
	@$(BIN)/python -m pytest --numprocesses 2 --quiet -p no:randomly --hypothesis-profile search -m "not browser" \
		tests/corpus/test_any_text.py tests/faults/test_bytes.py tests/test_loading.py tests/test_tokenization.py $(ARGS)

faults: setup  ## each call that changes the disk fails once, in every verb; ARGS="--sample 9" tries a few
	@$(BIN)/python -m tests.faults.run --json scripts/results/faults.json $(ARGS)

upstream: .venv/upstream.done  ## the tests of transformers itself, of a model and of a tokenizer, on ours
	@RUN_SLOW=1 PYTHONPATH=.venv/upstream $(BIN)/python -m pytest --quiet -p no:randomly -m upstream tests/upstream $(ARGS)

publish: setup  ## model, corpus and Space to the Hub; ARGS="--model ... --repo_id ..." goes to the verb
	@$(BIN)/char-lstm publish $(ARGS)

benchmark: setup  ## speed, memory and quality again, on a corpus of Alice: make benchmark DATASET=runs/alice/corpus
	@for verb in generation memory scale streaming serving temperatures; do \
		$(BIN)/python scripts/benchmark.py $$verb --json scripts/results/$$verb.json || exit 1; done
	@for verb in training quality; do \
		$(BIN)/python scripts/benchmark.py $$verb --dataset "$(DATASET)" --json scripts/results/$$verb.json || exit 1; done
	@$(BIN)/python scripts/benchmark.py tables

lint: setup  ## style, types and declared dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/deptry modeling scripts
	@$(BIN)/deptry tests --ignore DEP002,DEP004

wheel: setup  ## the package as one file in dist/, for a machine that has no checkout
	@rm -rf build  # setuptools would pack what an older build left there
	@$(PIP) wheel --no-deps --wheel-dir dist . >&2
	@ls dist/*.whl

audit: setup  ## known vulnerabilities in the pinned dependencies; needs the network, fails on what it cannot audit
	@$(INSTALL) --editable ".[audit]" >&2
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/setup.done  ## everything needed for development, into .venv

.venv/bin/python:
	@$(PYTHON) -m venv .venv >&2

.venv/generate.done: constraints.txt pyproject.toml | .venv/bin/python
	@$(INSTALL) numpy safetensors tokenizers >&2
	@$(INSTALL) --no-deps --editable . >&2
	@touch $@

.venv/setup.done: constraints.txt pyproject.toml | .venv/bin/python
	@$(INSTALL) --editable ".[lint,test]" >&2
	@touch $@ .venv/generate.done

.venv/upstream.done: constraints.txt .venv/setup.done
	@rm -rf .venv/upstream && mkdir -p .venv/upstream/transformers_tests
	@$(PIP) download --no-deps --no-binary transformers --dest .venv/upstream $(subst -,==,$(TRANSFORMERS))
	@tar -xzf .venv/upstream/$(TRANSFORMERS).tar.gz -C .venv/upstream/transformers_tests --strip-components 2 \
		$(TRANSFORMERS)/tests
	@touch $@
