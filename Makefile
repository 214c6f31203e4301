# SPDX-License-Identifier: Apache-2.0
# Everything without a ROS distribution, in a virtual environment next to the sources.
#
#   make demo     simulate a person, play the events through the real nodes, show and measure
#   make test     run all tests, in parallel
#   make coverage tell which lines the unit tests run
#   make install  set up .venv and install the package into it
#   make clean    remove what the others made, except results in out/

PYTHON ?= python3
DEMO_ARGS ?=
TEST_ARGS ?= -n auto
# Another build of PyTorch, for example: make install TORCH_BUILD=cu130
TORCH_BUILD ?= cpu
# Where pip looks for it if its own configuration does not have it.
TORCH_INDEX ?= https://download.pytorch.org/whl/$(TORCH_BUILD)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := torch==$(shell sed -n 's/^torch==//p' requirements.txt)+$(TORCH_BUILD)
SOURCES := CMakeLists.txt package.xml setup.py pyproject.toml \
  $(shell find hybrid_pose_ros msg cmake config launch -name __pycache__ -prune -o -print)

.PHONY: demo test coverage install clean

demo: .venv/.installed
	$(BIN)/hybrid-pose demo $(DEMO_ARGS)

test: .venv/.installed .venv/.test-tools
	@echo "all tests, in parallel; only the quick ones: make test TEST_ARGS='-n auto -m unit'"
	$(BIN)/pytest $(TEST_ARGS)

coverage: .venv/.installed .venv/.test-tools
	$(BIN)/pytest -n auto -m unit --cov=hybrid_pose_ros --cov-report=term:skip-covered

install: .venv/.installed

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

define check_machine
import importlib.util, os, shutil, sys, sysconfig
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"error: {sys.executable} is Python {sys.version.split()[0]}, but 3.11 to 3.13 is needed; name another one: make PYTHON=python3.12")
needs = {
    "python3-venv": importlib.util.find_spec("ensurepip"),
    "python3-dev": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
    "g++": shutil.which("c++"),
}
if missing := [package for package, found in needs.items() if not found]:
    sys.exit("error: something is missing on this machine; on Debian and Ubuntu: sudo apt install " + " ".join(missing))
endef
export check_machine

.venv/.made:
	@$(PYTHON) -c "$$check_machine"
	$(PYTHON) -m venv .venv
	touch $@

# A plain "torch" would bring CUDA from PyPI. Both attempts insist on the build; only the first
# one's "not found" is not worth reading.
.venv/.requirements: .venv/.made requirements.txt requirements-build.txt constraints.txt
	$(PIP) install -c constraints.txt "$(TORCH)" 2>/dev/null || \
	  $(PIP) install -c constraints.txt --extra-index-url $(TORCH_INDEX) "$(TORCH)"
	$(PIP) install -c constraints.txt -r requirements.txt -r requirements-build.txt
	touch $@

.venv/.test-tools: .venv/.made requirements-test.txt requirements-openvino.txt requirements-report.txt constraints.txt
	$(PIP) install -c constraints.txt -r requirements-test.txt
	touch $@

# One step of the engine and of the simulator: numba compiles them and keeps the result beside the
# installed modules, else the first start would wait for that (9 s of CPU time).
define compile
import numpy as np
from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.simulation.source import SimulatorSource
checkpoint = load_checkpoint()
view = checkpoint.config.view
silence = np.zeros((2, view.grid_height, view.grid_width), np.uint16)
snn = SnnEstimator(checkpoint, view.fit(view.view_width, view.view_height))
snn.step(Step(index=0, counts=silence, events=0))
SimulatorSource("walking", 0.01, 0).read()
endef
export compile

.venv/.installed: .venv/.requirements $(SOURCES)
	$(PIP) install --no-build-isolation --no-deps .
	@echo "compiling ..."; $(BIN)/python -P -c "$$compile"
	touch $@
