# What there is to do with a checkout. Needs GNU make, Python and a package index; `make` alone lists the targets.
# All paths are relative, so the checkout may lie anywhere, below a path with spaces too.

# The first of these that is old and new enough is taken: TensorFlow has wheels for Python 3.11 to 3.13.
PYTHON ?= python3.13 python3.12 python3.11 python3
SUITS = import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
FOUND = $(firstword $(foreach name,$(PYTHON),$(shell $(name) -c '$(SUITS)' >/dev/null 2>&1 && echo $(name))))

BIN := .venv/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check types wheel clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/make \1	\2/p' Makefile

demo: .venv/.installed  ## run the main job on handwritten digits; results in demo/
	$(BIN)/regraft demo

# Two processes, each with whole files of tests, as these share what takes long to make.
test: .venv/.installed-dev  ## run the tests, without those marked slow
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/.installed-dev types  ## run the linter, the formatter and the type checker; changes no source
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy

# mypy and pyright do not see through setuptools' editable install; they follow these links.
types:  ## make .types/, the package as type checkers find it
	@rm -rf .types && mkdir -p .types/regraft
	@ln -s ../../models ../../augment .types/regraft/
	@for entry in app/*; do ln -s ../../$$entry .types/regraft/; done

# setuptools would pack what an earlier build left in build/.
wheel: .venv/.installed-dev  ## build the wheel into dist/
	rm -rf build dist
	$(BIN)/python -m build --wheel

clean:  ## delete .venv/, demo/ and all else that make made; runs in saved_models/ stay
	rm -rf .venv .types build dist demo *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find app models augment tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

.venv/.installed: pyproject.toml
	$(call install,.)

.venv/.installed-dev: pyproject.toml
	$(call install,.[dev])
	@touch .venv/.installed

# A venv whose making was interrupted still holds .unfinished and is made anew; so is one that lost its Python.
define install
	$(if $(FOUND),,$(error Python 3.11, 3.12 or 3.13 with the venv module is needed; none of "$(PYTHON)" is one. \
	Install it, or name it: make PYTHON=/path/to/python3.12))
	@if [ -e .venv/.unfinished ] || ! { $(BIN)/python -m pip -V || $(BIN)/python -m ensurepip; } >/dev/null 2>&1; then \
		echo "Making .venv with $(FOUND); the first time, this downloads about 1 GB."; \
		rm -rf .venv && mkdir .venv && touch .venv/.unfinished && $(FOUND) -m venv .venv; \
	fi
	@touch .venv/.unfinished
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '$(1)'
	@rm .venv/.unfinished && touch $@
endef
