# SPDX-License-Identifier: Apache-2.0
# Everything without a ROS distribution, in a virtual environment next to the sources.
#
#   make demo     simulate a person, play the events through the real nodes, show and measure
#   make test     run the tests, in parallel, but for the slow ones
#   make coverage tell which lines the unit tests run
#   make install  set up .venv and install the package into it
#   make clean    remove what the others made, except results in out/

PYTHON ?= python3
DEMO_ARGS ?=
COVERAGE_ARGS ?= -n auto -m unit
TEST_ARGS ?= -n auto --dist worksteal -m "not slow"
# Another build of PyTorch, for example: make install TORCH_BUILD=cu130; the one of PyPI, which
# brings CUDA: make install TORCH_BUILD=
TORCH_BUILD ?= cpu
# Where pip looks for it if its own configuration does not have it.
TORCH_INDEX ?= https://download.pytorch.org/whl/$(TORCH_BUILD)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := torch==$(shell sed -n 's/^torch==//p' requirements.txt)$(if $(TORCH_BUILD),+$(TORCH_BUILD))
SOURCES := CMakeLists.txt package.xml setup.py pyproject.toml \
  $(shell find hybrid_pose_ros msg cmake config launch -name __pycache__ -prune -o -print)

.PHONY: demo test coverage install clean

demo: .venv/.installed
	$(BIN)/hybrid-pose demo $(DEMO_ARGS)

test: .venv/.installed .venv/.test-tools
	@echo "tests, in parallel; only the quick ones: TEST_ARGS='-n auto -m unit'; the slow ones: TEST_ARGS='-m slow'"
	$(BIN)/pytest $(TEST_ARGS)

coverage: .venv/.installed .venv/.test-tools
	$(BIN)/pytest $(COVERAGE_ARGS) --cov-report=term:skip-covered \
		--cov=$$($(BIN)/python -P -c 'import hybrid_pose_ros; print(hybrid_pose_ros.__path__[0])')

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
if " " in os.getcwd():
    print(f"warning: the path {os.getcwd()} has a space in it, which not all build tools of ROS 2 can take; if the build fails, move the sources", file=sys.stderr)
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
	  $(PIP) install -c constraints.txt --extra-index-url $(TORCH_INDEX) "$(TORCH)" || { echo \
	  "error: $(TORCH) could not be had from $(TORCH_INDEX); name a place that can be reached," \
	  "make TORCH_INDEX=https://..., or take PyPI's larger build with CUDA, make TORCH_BUILD=" \
	  >&2; exit 1; }
	$(PIP) install -c constraints.txt -r requirements.txt -r requirements-build.txt
	touch $@

.venv/.test-tools: .venv/.made requirements-test.txt requirements-openvino.txt requirements-report.txt constraints.txt
	$(PIP) install -c constraints.txt -r requirements-test.txt
	touch $@

.venv/.installed: .venv/.requirements $(SOURCES)
	$(PIP) install --no-build-isolation --no-deps .
	@echo "compiling the engine and the simulator ..."
	@$(BIN)/python -P -m hybrid_pose_ros.pipeline.compilation
	touch $@
