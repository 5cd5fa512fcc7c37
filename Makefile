# `make` alone says what there is.
PYTHON ?= python3
# Which build of torch `make venv` installs: pip's own choice, or TORCH=cpu for PyTorch's CPU-only one (200 MB, not 3 GB).
TORCH ?=
TORCH_FLAGS = $(if $(filter cpu,$(TORCH)),--index-url https://download.pytorch.org/whl/cpu)
# Small enough to end in a few minutes on two cores. In CI nobody is there to press Ctrl-C, so there the viewer closes
# when training is over.
DEMO_FLAGS ?= --downscale 2 --iterations 2000 --max-gaussians 80000 --view $(if $(CI),--close-when-done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
EDITABLE := $(VENV)/.editable
# Idle OpenMP threads spin by default and take the core from the one that works.
export OMP_WAIT_POLICY ?= passive

# A wheel is for every GPU (setup.py's list), unless somebody names some.
WHEEL_CUDA_ARCHS := $(SPLAT_CUDA_ARCHS)
# Which GPUs `make native` compiles the CUDA kernels for; others get theirs from PTX when they are first used.
export SPLAT_CUDA_ARCHS ?= 75 90

.PHONY: help venv native web on-host demo test check wheel format clean

help:
	@echo 'make demo    environment, native build, trains the bundled capture and opens the viewer (about 5 minutes)'
	@echo 'make test    environment, native build, every test'
	@echo 'make check   lint, format, types and the fast tests'
	@echo 'make native  builds the CPU library (and the CUDA library where nvcc is found)'
	@echo 'make web     bundles the page of `splat export scene.html` (make native does, too, where Node is found)'
	@echo 'make venv    the environment alone, in $(VENV); TORCH=cpu takes the small CPU-only torch'
	@echo 'make wheel   one wheel with all native libraries, in dist/ (with nvcc: for every GPU, several minutes)'
	@echo 'make format  formats the Python files'
	@echo 'make clean   removes what was built, not $(VENV)'

venv: $(EDITABLE)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Splat needs Python 3.10 or newer, not " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@echo '==> Python environment in $(VENV), from $(PYTHON)'
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): requirements/run.txt | $(BIN)/python
	@echo '==> torch (the largest download; TORCH=cpu takes the small build)'
	@$(BIN)/python -c "import torch" 2>/dev/null || $(PIP) install $(TORCH_FLAGS) "$$(grep ^torch== requirements/run.txt)"
	@echo '==> what Splat runs on (requirements/run.txt)'
	@$(PIP) install --quiet -r requirements/run.txt
	@touch $@

$(INSTALLED_DEV): requirements/dev.txt requirements/oracles.txt $(INSTALLED)
	@echo '==> what checking and testing need (requirements/dev.txt, oracles.txt)'
	@$(PIP) install --quiet -r requirements/dev.txt
	@$(PIP) install --quiet --no-deps -r requirements/oracles.txt
	@touch $@

$(EDITABLE): pyproject.toml setup.py $(INSTALLED)
	@echo '==> Splat itself, linked to this folder (compiles the native library the first time: 1-2 minutes)'
	@$(PIP) install --quiet --no-build-isolation --no-deps -e .
	@touch $@

native: $(EDITABLE)
	@echo '==> native library'
	@$(BIN)/python setup.py --quiet build_ext --inplace

web: $(EDITABLE)
	@echo '==> page for phones'
	@$(BIN)/python setup.py --quiet build_page

# The CUDA kernels compiled for the CPU, by which tests run them without a GPU.
on-host: native
	@echo '==> CUDA kernels for the CPU (for tests)'
	@$(BIN)/ninja -C build/native libsplat_cuda_on_host.so

demo: $(EDITABLE) native
	@echo '==> splat train datasets/sample/images: photos -> cameras -> scene, in demo/'
	@$(BIN)/splat train datasets/sample/images -o demo --overwrite $(DEMO_FLAGS)

check: $(INSTALLED_DEV) $(EDITABLE) native on-host
	@echo '==> ruff'
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo '==> pyright'
	@$(BIN)/pyright
	@echo '==> fast tests, two at a time (the kernels then get one thread each)'
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2

test: $(INSTALLED_DEV) $(EDITABLE) native on-host
	@echo '==> every test'
	@$(BIN)/pytest -q -m ""

# build/ is made anew but for the objects, so that no file of long ago gets into the wheel. auditwheel finds the oldest
# Linux that the libraries run on and tags the wheel so; torch's own libraries stay torch's.
wheel: $(INSTALLED_DEV)
	@echo '==> wheel'
	@rm -rf build/wheel && mkdir -p dist
	@SPLAT_CUDA_ARCHS='$(WHEEL_CUDA_ARCHS)' $(BIN)/python setup.py --quiet build --build-base build/wheel/build \
	  bdist_wheel --bdist-dir build/wheel/files --dist-dir build/wheel
ifeq ($(shell uname -s),Linux)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --exclude 'libtorch*' --wheel-dir dist build/wheel/*.whl
else
	@cp build/wheel/*.whl dist/
endif
	@ls dist/*.whl

format: $(INSTALLED_DEV)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	@echo '==> removing build products (not $(VENV), runs or captures)'
	@rm -rf build dist *.egg-info splat/_native splat/_web .pytest_cache .ruff_cache .hypothesis
