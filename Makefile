PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python -m harmonics_lib.report
NB ?=
GPUS ?= 1

# One thread a process unless it asks for more, threads that wait without spinning, and an allocator that keeps its
# buffers: training is up to 1.5 times faster. Written here and nowhere else; kernels inherit it.
export OMP_NUM_THREADS = 1
export OMP_WAIT_POLICY = PASSIVE
export MALLOC_MMAP_THRESHOLD_ = 4000000000
export MALLOC_TRIM_THRESHOLD_ = 8000000000
export MALLOC_TOP_PAD_ = 268435456
export HARMONICS_RETRAIN = $(RETRAIN)
unexport MPLBACKEND JUPYTER_PATH

.PHONY: help setup report quick train limit measured peers test colab site pdf lint lab badges bench lock clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# What a target needs is installed when it is first called, all of it in the versions of requirements.lock.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c requirements.lock

setup: .venv/report ## create .venv with what the report needs, when it is missing or out of date

.venv/pip: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + "; name another with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(PIP) pip
	touch $@

.venv/report: .venv/pip pyproject.toml
	$(PIP) -e ".[report]"
	touch $@

.venv/site: .venv/report
	$(PIP) -e ".[report,site]"
	touch $@

.venv/test: .venv/report
	$(PIP) -e ".[report,site,tracking]" --group test
	$(PIP) --group reference || echo "The comparison with the spectrum package is skipped: it needs a C compiler."
	touch $@

.venv/lint .venv/lab: .venv/%: .venv/pip pyproject.toml
	$(PIP) --group $*
	touch $@

report: setup ## run the notebooks and publish results (NB="01 03" for some, RETRAIN=1 to train anew)
	$(RUN) run --notebooks "$(NB)"

quick: setup ## the quick profile, everything from scratch, into build/quick
	$(RUN) run --quick --notebooks "$(NB)"

train: setup ## train a published network anew (NAME=curriculum_gru; GPUS=4 for so many processes, a GPU each)
	$(if $(NAME),,$(error name a published network, for example make train NAME=curriculum_gru))
	$(if $(filter 1,$(GPUS)),$(BIN)/python,$(BIN)/torchrun --standalone --nproc-per-node=$(GPUS)) -m harmonics_lib.report train $(NAME)

limit: setup ## bring two tables up to date that the report only reads: the Bayes limit (half an hour), coverage
	$(BIN)/python -m experiments limit

measured: setup ## score every method on the measured series anew, which the report only reads (five minutes)
	$(BIN)/python -m experiments measured

build/peers/ready: requirements-peers.lock pyproject.toml
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip install -qq --disable-pip-version-check -c requirements-peers.lock -e ".[peers]"
	touch $@

peers: build/peers/ready ## score other libraries, in an environment of their own (ANEW=1 for all; else what is missing)
	$(if $(filter 1,$(ANEW)),rm -rf results/metrics/peers*.* build/peers-trained)
	build/peers/bin/python -m experiments.peers
	build/peers/bin/python -m pytest -q tests/experiments/test_peers.py

test: .venv/test ## unit tests, and every published notebook against its outputs (nbval)
	$(BIN)/python -m pytest tests results/notebooks --numprocesses=2 --dist=loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=600

colab: .venv/test ## run a notebook as Colab would, in an empty environment with the committed package
	$(BIN)/python -m pytest tests/test_colab.py -m colab

site: .venv/site ## make web pages of the published report in build/site/html, which need no network
	$(BIN)/python site/build.py
	@echo "open build/site/html/index.html, or: $(BIN)/python -m http.server -d build/site/html"

pdf: .venv/site ## print the whole report as build/site/report.pdf; needs Chromium
	$(BIN)/python site/pdf.py

lint: .venv/lint ## ruff over code and notebooks
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

lab: setup .venv/lab ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

badges: setup ## write the repository's URL from pyproject.toml into badges and Colab cells
	$(RUN) badges
	$(RUN) prose

bench: setup ## measure speeds anew, as ratios, into results/benchmarks
	for script in $(filter-out %/common.py,$(wildcard experiments/benchmarks/*.py)); do $(BIN)/python $$script || exit 1; done

# Of the locks, the second is for make peers alone: its libraries ask for versions that the report would not take.
REPORT_LOCK := $(foreach extra,report tracking cluster site,--extra $(extra)) $(foreach group,install test lint lab,--group $(group))
RESOLVE = build/uv/bin/uv pip compile pyproject.toml $(1) --universal --python-version 3.10 --no-header --no-annotate \
	--strip-extras --upgrade | grep -vE '^(nvidia-|cuda-|triton)' > build/$(2) && mv build/$(2) $(2)

lock: .venv/pip ## resolve requirements.lock anew from pyproject.toml, all its extras and groups together, and that of peers
	$(BIN)/python -m venv --clear build/uv
	build/uv/bin/python -m pip install --quiet uv
	$(call RESOLVE,$(REPORT_LOCK),requirements.lock)
	$(call RESOLVE,--extra peers,requirements-peers.lock)

clean: ## remove all that can be made again (not results)
	rm -rf .venv build
