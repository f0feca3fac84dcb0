# Two commands do everything: `make demo` and `make test`. Both first make
# the folder .venv, which takes some minutes the first time.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: help demo test coverage docs matrix mmcv-times gpu-check lint audit \
	clean

# A Python from 3.10 to 3.13. A torch that it can import (a CUDA build, say) is
# used instead of a new one.
PYTHON ?= python3
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

VENV := .venv
# folders too: their time changes when a file is deleted
SOURCES := setup.py setup.cfg model-index.yml \
	$(shell find acon_mm configs tools -not -path '*__pycache__*')

# stamps: the packages of others, acon_mm itself, and the tests' browser
ENVIRONMENT := $(VENV)/.environment
PACKAGE := $(VENV)/.package
BROWSER := $(VENV)/.browser

IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

help:
	@echo 'make demo       train on drawn images and show the results'
	@echo '                (TASK=retinanet|pspnet|mask_rcnn, DEMO=full)'
	@echo 'make test       run the tests; make gpu-check: those of the GPU'
	@echo 'make matrix     run them on the versions in docs/versions.md'
	@echo 'make docs       build the documentation; warnings are errors'
	@echo 'make coverage   run the tests, report the lines that they reach'
	@echo 'make lint       check the style and the types'
	@echo 'make audit      look for known vulnerabilities of what is installed'
	@echo 'make clean      remove what these made: .venv, the drawn images and'
	@echo '                the demo'"'"'s results; your data and trainings stay'
	@echo 'PYTHON=python3.11 chooses the Python; its torch, if any, is kept'

demo: $(PACKAGE)
	@$(IN_VENV) python -W ignore tools/demo.py

test: $(PACKAGE) $(BROWSER)
	@$(IN_VENV) OMP_NUM_THREADS=1 pytest -n $(JOBS) \
		--dist worksteal -m 'not slow and not gpu' $(PYTEST)

# the report is work_dirs/coverage/index.html
coverage: PYTEST := --cov --cov-report=html:work_dirs/coverage \
	--cov-report=term
coverage: test

docs: $(PACKAGE)
	@$(IN_VENV) python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo 'The documentation is in docs/_build/index.html'

gpu-check: $(PACKAGE)
	@$(IN_VENV) bash tools/gpu_check.sh

# Interpreters that pyenv has are found as well. ROW=... runs one row; MATRIX
# is where environments are kept.
MATRIX ?= .nox
matrix:
	@test -x $(MATRIX)/nox/bin/nox || { $(PYTHON) -m venv $(MATRIX)/nox && \
		$(MATRIX)/nox/bin/python -m pip install --quiet nox==2026.10.20; }
	@PYENV_VERSION=$$(pyenv versions --bare 2>/dev/null | paste -sd:) \
		$(MATRIX)/nox/bin/nox --envdir '$(MATRIX)' $(ROW:%=--session %)

# how long MMCV takes to compile, with the headers parsed once and without
mmcv-times: $(ENVIRONMENT)
	@$(IN_VENV) bash requirements/mmcv_times.sh python $(JOBS)

lint: $(ENVIRONMENT)
	@$(IN_VENV) ruff check .
	@$(IN_VENV) mypy

audit: $(ENVIRONMENT)
	@test -x $(MATRIX)/audit/bin/pip-audit || { \
		$(PYTHON) -m venv $(MATRIX)/audit && $(MATRIX)/audit/bin/python \
		-m pip install --quiet pip-audit==2.10.1; }
	@$(MATRIX)/audit/bin/pip-audit --path $(VENV)/lib/python3.*/site-packages

clean:
	rm -rf $(VENV) docs/_build data/shapes_coco data/shapes_cityscapes \
		work_dirs/demo build dist *.egg-info .pytest_cache .ruff_cache \
		.mypy_cache .hypothesis .coverage work_dirs/coverage
	rmdir data work_dirs 2>/dev/null || true
	find . -name __pycache__ -prune -exec rm -rf {} +

# A wheel, not an editable install: mim looks for acon_mm/.mim in it.
$(PACKAGE): $(ENVIRONMENT) $(SOURCES)
	@echo 'Installing acon_mm into $(VENV)'
	@$(IN_VENV) python -m pip install --quiet --no-deps \
		--no-build-isolation --force-reinstall .
	@touch $@

$(BROWSER): $(ENVIRONMENT) requirements/browser.txt
	@echo 'Installing a browser for the tests into $(VENV)'
	@$(IN_VENV) python -m pip install --quiet --no-deps \
		--requirement requirements/browser.txt
	@touch $@

$(ENVIRONMENT): $(filter-out %/browser.txt, $(wildcard requirements/*))
	@bash requirements/install.sh '$(PYTHON)' $(VENV) $(JOBS)
	@echo '$(PYTHON)' >$@

# A PYTHON that is asked for must be the one that .venv was made with.
ifneq ($(origin PYTHON),file)
MADE_WITH := $(shell cat $(ENVIRONMENT) 2>/dev/null)
ifneq ($(MADE_WITH),)
ifneq ($(MADE_WITH),$(PYTHON))
$(ENVIRONMENT): refuse-python
.PHONY: refuse-python
refuse-python:
	@echo '$(VENV) was made with $(MADE_WITH), not with PYTHON=$(PYTHON):' \
		'run make clean first to make it anew.' >&2; exit 2
endif
endif
endif
