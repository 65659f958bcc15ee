# Every target sets up what it needs, once; CI calls these targets and nothing else.
#   make demo     plays a video through the ROS nodes and writes out/demo/
#   make test     all tests, with the trainer's
#   make test-ros the tests of the nodes alone; with ROS=jazzy in an environment of its own
#   make lint     ruff, pyright, and which package may import which
ROS ?= kilted
PYTHON ?= python3
VENV := $(if $(filter kilted,$(ROS)),.venv,.venv-$(ROS))
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install -qq --disable-pip-version-check
DONE := $(VENV)/done

# Tests run two at a time: one thread each is fastest.
test test-ros nightly train-smoke: export OMP_NUM_THREADS = 1

.PHONY: setup demo test test-ros lint bench train-smoke nightly clean

demo: setup ; $(PY) -m demo $(DEMO)
test: $(DONE)/dev $(DONE)/msgs $(DONE)/interfaces $(DONE)/install $(DONE)/bindings ; $(PY) -m pytest -n auto --dist loadfile -m "not slow" $(TEST)
test-ros: $(DONE)/test $(DONE)/msgs $(DONE)/interfaces $(DONE)/install ; $(PY) -m pytest -n auto --dist loadfile -m "not slow" tests/ros $(TEST)
lint: $(DONE)/dev $(DONE)/msgs $(DONE)/interfaces $(DONE)/install ; tools/lint.sh
bench: setup ; $(PY) -m benchmarks $(BENCH)
train-smoke: $(DONE)/dev $(DONE)/install ; tools/train_smoke.sh
nightly: $(DONE)/dev $(DONE)/msgs $(DONE)/interfaces $(DONE)/install $(DONE)/bindings ; $(PY) -m pytest -n auto --dist loadfile $(TEST)
clean: ; rm -rf .venv .venv-* out build *.egg-info ros_ws/build ros_ws/install ros_ws/log

setup: $(DONE)/demo $(DONE)/msgs $(DONE)/install

# Stamp files: a step runs again only when what it was made from changes.
$(PY): ; @$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "the ROS wheels on PyPI are built for Python 3.11, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
$(DONE)/ros-$(ROS): requirements/ros-$(ROS).txt requirements/ros-common.txt requirements/constraints.txt | $(PY) ; $(PIP) -r $< && mkdir -p $(DONE) && touch $@
$(DONE)/demo: requirements/demo.txt requirements/constraints.txt $(DONE)/ros-$(ROS) ; $(PIP) -r $< && touch $@
$(DONE)/test: requirements/test.txt $(DONE)/demo ; $(PIP) -r $< && touch $@
$(DONE)/dev: requirements/train.txt requirements/dev.txt $(DONE)/test ; $(PIP) -r requirements/train.txt -r requirements/dev.txt && touch $@
$(DONE)/bindings: requirements/tensorrt-bindings.txt tools/fetch_bindings.sh | $(PY) ; tools/fetch_bindings.sh $(VENV) && mkdir -p $(DONE) && touch $@
$(DONE)/msgs: $(shell find ros_ws/src/vipe_msgs -type f) tools/build_msgs.sh tools/ros_wheels_fix.cmake $(DONE)/ros-$(ROS) ; tools/build_msgs.sh $(VENV) && touch $@
$(DONE)/interfaces: $(shell find tests/interfaces -type f) tools/build_interfaces.sh tools/build_msgs.sh $(DONE)/ros-$(ROS) ; tools/build_interfaces.sh $(VENV) && touch $@
$(DONE)/install: setup.py $(DONE)/ros-$(ROS) ; $(PIP) --no-build-isolation --no-deps -e . && mkdir -p $(VENV)/typing && ln -sfn ../../training $(VENV)/typing/vipe_training && touch $@
