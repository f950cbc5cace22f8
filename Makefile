# Every command that people and CI run. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Small models run slower on two threads than on one; chapters run side by side instead.
export OMP_NUM_THREADS := 1
# nproc would answer with OMP_NUM_THREADS.
JOBS ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)

INSTALLED := $(VENV)/installed
NODE_MODULES := node_modules/.package-lock.json

NEWEST_TORCH := _build/torch-newest

# `make claims 43 51` and `make chapter 43` name chapters.
NN := $(filter-out claims claims-carry chapter,$(MAKECMDGOALS))
ifneq (,$(filter claims claims-carry chapter,$(firstword $(MAKECMDGOALS))))
$(NN):: ; @:
endif

.PHONY: help setup book test lint type unit chapter pictures notebooks notebooks-check notebooks-freeze nbval \
	site-test perturbed claims claims-carry serve lab clean

help:  ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-18s%s\n", $$1, $$2}' Makefile

setup: $(INSTALLED) $(NODE_MODULES)  ## Make .venv and install everything into it

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Python 3.11 is needed: name it with make PYTHON=...")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	pip install --quiet --upgrade pip==26.3
	pip install --quiet -r <(grep '^torch==' requirements.txt)
	pip install --quiet -r requirements.txt -c constraints.txt
	PYTHONWARNINGS=ignore pip install --quiet --no-deps --no-build-isolation --editable .
	@# In JupyterLab a chapter's .md opens as a notebook.
	jupytext-config --settings-file $(VENV)/share/jupyter/lab/settings/overrides.json \
	    set-default-viewer markdown myst
	touch $@

$(NODE_MODULES): package.json package-lock.json .npmrc | $(INSTALLED)
	npm ci --loglevel=error
	touch $@

book: setup  ## Run the chapters and render the site to _build/html
	python tools/execute_chapters.py --jobs $(JOBS)
	@# A second run would not repeat the warnings of a failed one: make it read every page again.
	jupyter-book build -W -n --keep-going . || { rm -rf _build/.doctrees; exit 1; }
	@echo "The book is ready: open file://$(CURDIR)/_build/html/index.html or run make serve"

test: lint type unit book notebooks-check nbval site-test  ## Run every check that CI runs

lint: setup  ## Check style and formatting, the chapters' too
	ruff check .
	ruff format --check .
	python tools/lint_chapters.py
	node_modules/.bin/biome check book/_static tutorial_lib/live tests/live tools
	codespell

type: setup  ## Check types
	node_modules/.bin/pyright
	node_modules/.bin/tsc -p jsconfig.json

unit: setup  ## Test the package and the tools
	node --test "tests/live/*.test.mjs"
	pytest -n $(JOBS) --dist worksteal tests/lib tests/tools

chapter: setup  ## make chapter NN: check, run and open one chapter; the other pages get no outputs
	@test -n "$(NN)" || { echo "name a chapter: make chapter 11"; exit 2; }
	python tools/lint_chapters.py $(NN)
	python tools/build_notebooks.py $(NN)
	python tools/execute_chapters.py $(NN)
	BOOK_CHAPTER=$(NN) jupyter-book build --quiet --path-output _build/chapter .
	pytest -q tests/notebooks/test_chapters.py tests/notebooks/test_exercises.py -k $(NN)_
	@page=$$(echo _build/chapter/_build/html/notebooks/$(NN)_*.html); \
	    echo "The page is ready: file://$(CURDIR)/$$page"; \
	    python -m webbrowser "file://$(CURDIR)/$$page" > /dev/null 2>&1 || true

pictures: setup  ## Draw the pictures of the architecture, book/_static/architecture/*.svg
	python tools/draw_architecture.py

notebooks: setup  ## Make notebooks/*.ipynb from notebooks/*.md
	python tools/build_notebooks.py

notebooks-freeze: setup  ## Run the chapters and store the text of cells tagged nbval-check-output
	python tools/build_notebooks.py --freeze

notebooks-check: book  ## Check the chapters' form, exercises and freshness
	pytest -n $(JOBS) tests/notebooks

nbval: book  ## Run every notebook as Colab opens it and compare its outputs with the site's
	python tools/nbval_notebooks.py
	pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder --nbval --nbval-current-env \
	    --nbval-sanitize-with tests/notebooks/sanitize.cfg @_build/nbval/order.txt

site-test: book  ## Open every page of the site in a real browser
	python tests/site/browser.py
	pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder tests/site

perturbed: setup  ## Run the chapters once on another machine: older instructions, two threads, other seeds
	python tools/claims.py --perturbed --jobs $(JOBS)

claims: setup $(NEWEST_TORCH)  ## Count how often each claim holds; make claims NN: those of one chapter
	python tools/claims.py --newest-torch $(NEWEST_TORCH) --jobs $(JOBS) -- $(NN)

claims-carry: setup  ## make claims-carry BASE=commit: keep the runs where no number has changed since
	@test -n "$(BASE)" || { echo "name a commit: make claims-carry BASE=HEAD~1"; exit 2; }
	python tools/claims.py --carry "$(BASE)" --jobs $(JOBS) -- $(NN)

$(NEWEST_TORCH): | $(INSTALLED)
	pip install --quiet --upgrade --target $@ torch

serve: book  ## Serve the site on http://localhost:8000
	python -m http.server --directory _build/html --bind 127.0.0.1 8000

lab: setup  ## Open JupyterLab, where the chapters' .md open as notebooks
	jupyter lab notebooks

clean:  ## Remove what was built; .venv and node_modules stay
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
