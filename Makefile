# Two commands on a fresh machine: `make demo` and `make test`.  Each sets itself up.
# Python compiles what is imported when it is: of the packages, that is a small part.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test backends browser android ios lint format clean

# The base package alone, without TensorFlow: predicts on the bundled tune, draws the plot, composes some songs.
demo: .venv/base
	mkdir -p demo
	$(BIN)/sentio-tf predict sentio_tf/assets/two_moods.mp3 --timeline --hop 5 --plot demo/two_moods.png
	$(BIN)/sentio-tf data demo demo/songs --songs 8 --seconds 10
	$(BIN)/sentio-tf data show folder:demo/songs
	@echo "look at demo/two_moods.png, listen to demo/songs/audio (synthetic)"

# Everything CI runs: lint, types and the fast suite.
test: .venv/dev lint
	tools/ensure_fluidsynth.sh
	tools/ensure_node.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile

# The long half of the tests on JAX: phases of the optimizer, distillation, whole fits.
backends: .venv/dev
	$(BIN)/python -m pytest -m slow tests/test_backends.py

# Pages in a real Chromium.
browser: .venv/dev
	tools/ensure_chromium.sh
	tools/ensure_node.sh
	$(BIN)/python -m pytest -m browser

# Kotlin: core, the engine on the real model, the app against Android's classes.
android: .venv/base
	tools/ensure_java.sh
	mvn --batch-mode --no-transfer-progress --file mobile/android/pom.xml verify

# Swift: kit, the engine on the real model, types of the app; makes its own toolchain root where there is no Swift 6.
ios: .venv/base
	mobile/ios/tools/test.sh

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python tools/results.py --check

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/base: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --no-compile --editable .
	touch $@

.venv/dev: .venv/base
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv demo build dist *.egg-info
