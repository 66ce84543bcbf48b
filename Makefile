PYTHON ?= python3
NB ?=
GPUS ?= 1
JOBS ?= -1
HALF ?= development

# Everything runs in the active environment if this checkout is installed there, as environment.yml does it, and else in
# .venv, which is made when it is missing. What is active for something else stays as it is; make VENV=folder names any.
ACTIVE := $(or $(VIRTUAL_ENV),$(if $(filter-out base,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX)))
HOLDS_THIS = grep -qs "file://$$(pwd | sed 's/ /%20/g')\"" "$(1)"/lib/python3*/site-packages/harmonics_lib-*/direct_url.json
VENV ?= $(or $(and $(ACTIVE),$(shell $(call HOLDS_THIS,$(ACTIVE)) && echo "$(ACTIVE)")),.venv)
BIN := $(VENV)/bin
RUN := "$(BIN)/python" -m harmonics_lib.report

# One thread a process unless it asks for more, threads that wait without spinning, and an allocator that keeps its
# buffers: training is up to 1.5 times faster. Written here and nowhere else; kernels inherit it.
export OMP_NUM_THREADS = 1
export OMP_WAIT_POLICY = PASSIVE
export MALLOC_MMAP_THRESHOLD_ = 4000000000
export MALLOC_TRIM_THRESHOLD_ = 8000000000
export MALLOC_TOP_PAD_ = 268435456
export HARMONICS_RETRAIN = $(RETRAIN)
unexport MPLBACKEND JUPYTER_PATH

# The tables that the report only reads, a target each (from nothing: an hour, half an hour, and minutes).
TABLES := grid limit coverage measured tides worlds tuning

.PHONY: help setup report quick train tables $(TABLES) peers adapters benchmark test colab site pdf dist lint lab badges bench lock clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# What a target needs is installed when it is first called, all of it in the versions of requirements.lock.
PIP := "$(BIN)/python" -m pip install -qq --disable-pip-version-check -c requirements.lock
space := $() $()
WITH := $(subst $(space),\$(space),$(VENV))/.with

setup: $(WITH)-report ## create .venv with what the report needs, when it is missing or out of date

$(WITH)-pip: requirements.lock
	"$(BIN)/python" -m pip --version > /dev/null 2>&1 || "$(BIN)/python" -m ensurepip > /dev/null 2>&1 || { \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + "; name another with make PYTHON=...")' && \
		$(PYTHON) -m venv "$(VENV)"; }
	$(PIP) pip
	touch "$@"

$(WITH)-report: $(WITH)-pip pyproject.toml
	$(PIP) -e ".[report,tracking]"
	touch "$@"

$(WITH)-site: $(WITH)-report
	$(PIP) -e ".[report,tracking,site]"
	touch "$@"

$(WITH)-test: $(WITH)-report
	$(PIP) -e ".[report,tracking,site,cluster]" --group test
	$(PIP) --group reference || echo "The comparison with the spectrum package is skipped: it needs a C compiler."
	touch "$@"

$(WITH)-lint: $(WITH)-report
	$(PIP) --group lint
	touch "$@"

$(WITH)-lab: $(WITH)-report
	$(PIP) --group lab
	touch "$@"

report: setup ## run the notebooks and publish results (NB="01 03" for some, RETRAIN=1 to train anew)
	$(RUN) run --notebooks "$$NB"

quick: setup ## the quick profile, everything from scratch, into build/quick
	$(RUN) run --quick --notebooks "$$NB"

train: setup ## train a published network anew (NAME=curriculum_gru; GPUS=4 for so many processes, a GPU each)
	$(if $(NAME),,$(error name a published network, for example make train NAME=curriculum_gru))
	$(if $(filter 1,$(GPUS)),"$(BIN)/python","$(BIN)/torchrun" --standalone --nproc-per-node=$(GPUS)) -m harmonics_lib.report train "$$NAME"

tables: setup ## bring all tables up to date that the report only reads, on every core or on JOBS of them
	for table in $(TABLES); do "$(BIN)/python" -m experiments $$table --jobs $(JOBS) || exit 1; done

$(TABLES): setup
	"$(BIN)/python" -m experiments $@ --jobs $(JOBS)

build/peers/ready: requirements-peers.lock pyproject.toml
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip install -qq --disable-pip-version-check -c requirements-peers.lock -e ".[peers]"
	touch $@

peers: build/peers/ready ## score other libraries, in an environment of their own (ANEW=1 for all; else what is missing)
	$(if $(filter 1,$(ANEW)),rm -rf build/peers-trained)
	build/peers/bin/python -m experiments peers --jobs $(JOBS) $(if $(filter 1,$(ANEW)),--anew)
	build/peers/bin/python -m pytest -q tests/experiments/test_peers.py

adapters: build/peers/ready ## check the models for sktime, statsforecast, darts and scikit-learn with these libraries
	build/peers/bin/python -m pytest -q tests/test_adapters.py

benchmark: build/peers/ready ## forecast series of the world, ours and other libraries, in that environment (HALF=test; two hours)
	build/peers/bin/python -m experiments benchmark --half $(HALF) --jobs $(JOBS)
	build/peers/bin/python -m pytest -q tests/experiments/test_benchmark.py

test: $(WITH)-test ## unit tests, and every published notebook against its outputs (nbval)
	"$(BIN)/python" -m pytest tests results/notebooks -rs --numprocesses=logical --nbval-lax --nbval-current-env --nbval-cell-timeout=600

colab: $(WITH)-test ## run a notebook as Colab would, in an empty environment with the committed package
	"$(BIN)/python" -m pytest tests/test_colab.py -m colab

site: $(WITH)-site ## make web pages of the published report in build/site/html, which need no network
	"$(BIN)/python" site/build.py
	@echo "open build/site/html/index.html, or: $(BIN)/python -m http.server -d build/site/html"

pdf: $(WITH)-site ## print the whole report as build/site/report.pdf; needs Chromium
	"$(BIN)/python" site/pdf.py

dist: ## make the wheel and the source package of a release, into build/dist, and check both
	$(PYTHON) -m venv --clear build/release
	build/release/bin/python -m pip install -qq --disable-pip-version-check "build>=1.2" "twine>=6"
	rm -rf build/dist
	build/release/bin/python -m build -o build/dist
	build/release/bin/twine check --strict build/dist/*

lint: $(WITH)-lint ## style, types, the form of notebooks, the order of imports between packages, workflows
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/python" -m harmonics_lib.report.lint
	"$(BIN)/mypy" --cache-dir build/mypy
	"$(BIN)/lint-imports" --no-cache
	"$(BIN)/actionlint"

lab: $(WITH)-lab ## open the notebooks in JupyterLab
	"$(BIN)/jupyter" lab notebooks

badges: setup ## write the repository's URL from pyproject.toml into badges and Colab cells
	$(RUN) badges
	$(RUN) prose

bench: setup ## measure speeds anew, as ratios, into results/benchmarks
	"$(BIN)/python" -m experiments bench

# Of the locks, the second is for make peers and make benchmark, whose libraries ask for versions that the report would not take.
REPORT_LOCK := $(foreach extra,report tracking cluster site,--extra $(extra)) $(foreach group,install test lint lab,--group $(group))
RESOLVE = cp $(2) build/$(2) && build/uv/bin/uv pip compile pyproject.toml $(1) --universal --python-version 3.10 --no-header \
	--no-annotate --strip-extras $(if $(UPGRADE),--upgrade) --quiet -o build/$(2) && \
	grep -vE '^(nvidia-|cuda-|triton)' build/$(2) > build/$(2).part && mv build/$(2).part $(2)

lock: $(WITH)-pip ## bring the locks up to date with pyproject.toml (UPGRADE=1 raises what is pinned, too)
	"$(BIN)/python" -m venv --clear build/uv
	build/uv/bin/python -m pip install --quiet uv
	$(call RESOLVE,$(REPORT_LOCK),requirements.lock)
	$(call RESOLVE,--extra peers,requirements-peers.lock)

clean: ## remove all that can be made again (not results)
	rm -rf .venv build
