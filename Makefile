# The only commands that a newcomer types.
PYTHON ?= python3
BIN := .venv/bin
unexport PYTHONDONTWRITEBYTECODE  # the tests start hundreds of processes: each would compile the same modules
CHECKS := $(addprefix leaderboard/submissions/checks/,__init__.py keras_archive.py) zoo/strict/untrusted_json.py

# exec, so that a signal that stops make stops the Space
demo: .venv/demo          ## serve the Space on http://localhost:7860, with a worker for submissions
	ZOO_WORKERS=1 exec $(BIN)/python spaces_app.py

check: .venv/demo         ## say what is here, and what to do about what is not
	$(BIN)/handwriting-zoo check

ALL_CORES := --numprocesses logical --dist loadfile --no-loadscope-reorder
WHICH := -m "not slow"
test: .venv/test          ## style and types, then the tests, those in a browser too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory --jobs 2 types tests

types: .venv/test
	$(BIN)/mypy  # on one processor, while the tests are imported

tests: .venv/test
	$(BIN)/python -m pytest $(WHICH) --ignore tests/browser $(ALL_CORES)
	$(BIN)/python -m pytest $(WHICH) tests/browser $(ALL_CORES)  # after the others: these want the processors most

slow: .venv/test          ## the tests that `make test` leaves out because they take long
	$(BIN)/python -m pytest -m slow --ignore tests/browser $(ALL_CORES)
	$(BIN)/python -m pytest -m slow tests/browser

help:                     ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | expand -t 12

coverage: .venv/test      ## which lines of zoo and leaderboard the tests run; twice as long as `make test`
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine
	$(BIN)/coverage report --fail-under 90

mutants: .venv/test       ## whether a test fails when statistics or the checks of submissions are changed
	$(BIN)/python -m scripts.chores.mutants leaderboard/statistics.py -- tests/test_statistics.py
	$(BIN)/python -m scripts.chores.mutants $(CHECKS) -- tests/test_submissions_hostile.py tests/test_submissions_bounds.py

FUZZ_SECONDS ?= 60
fuzz: .venv/test          ## hostile files: each parser of submissions for FUZZ_SECONDS, then 1,000 files of up to 50 MB, 10,000 calls, and requests made of the OpenAPI document
	ZOO_FUZZ_SECONDS=$(FUZZ_SECONDS) ZOO_ADVERSARIAL=1000 $(BIN)/python -m pytest tests/test_fuzz.py tests/test_submissions_guard.py
	ZOO_RANDOM_CALLS=10000 $(BIN)/python -m pytest -s tests/test_gate_random.py
	ZOO_SCHEMA_EXAMPLES=200 $(BIN)/python -m pytest tests/test_rest_server.py -k schemathesis

train: .venv/demo         ## train, evaluate and record everything; may be stopped, goes on where it was
	$(BIN)/python scripts/train_all.py --records leaderboard/records

docs: .venv/test          ## build the documentation into site/; a warning is an error
	$(BIN)/zensical build --strict

BENCHES := speed runtimes in_browser space "space --visitors 200" api board hub growth executors_simulated
LEARNING := executors speedrun seeds "training glyphnet_300k glyphnet_100k resco_mini glyphnet_10k"
MEASURE = missed=0; for bench in $(1); do $(BIN)/python -m scripts.bench.$$bench --write || missed=1; done; \
	$(BIN)/python -m scripts.chores.update_tables; exit $$missed
bench: .venv/test         ## measure what docs/speed.md shows of serving and of growth, on an idle machine, and write it there
	$(call MEASURE,$(BENCHES))

learning: .venv/test      ## measure what docs/speed.md shows of training, on an idle machine, and write it there
	$(call MEASURE,$(LEARNING))

accuracy: .venv/test      ## what pictures, precisions and runtimes cost in accuracy, of all networks; takes hours
	$(BIN)/python -m scripts.bench.portable --write --missing
	$(BIN)/python -m scripts.bench.ink
	$(BIN)/python -m scripts.bench.own_pictures

.venv/demo: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/test: .venv/demo pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

.PHONY: demo check test types tests slow help coverage mutants fuzz train docs bench learning accuracy
