# Needs python3 >= 3.11 (with venv) and make. Each target sets up .venv by itself, and again when a lock changes.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Where this is set, each of the hundred processes that the tests start would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo setup lint test run bench stress prove simulate fencing kills disk chaos planted mutate cases fmt lock clean

demo: .venv/run.stamp ## the main job on the embedded default; no token needed
	@$(BIN)/inviteledger demo

setup: .venv/run.stamp ## checks the token, switches the intent on after asking, prints the install link
	@$(BIN)/inviteledger setup

run: .venv/run.stamp ## the bot; needs DISCORD_TOKEN
	@$(BIN)/inviteledger run

lint: .venv/dev.stamp ## format, lint, import contracts, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy
	@$(BIN)/basedpyright

test: lint ## all of these, and the tests
	@$(BIN)/pytest -q -n auto --dist worksteal

bench: .venv/dev.stamp ## ratios measured side by side in one run; ONLY=cloud: these rows; ONLY=million: some minutes
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

stress: .venv/dev.stamp ## 5,000 guilds start on four shards, 5,000 people join at once; some minutes
	@$(BIN)/python -m tests.stress

disk: .venv/dev.stamp ## make disk BUDGET=600: every disk operation with every fault, every state that a power cut leaves
	@$(BIN)/python -m tests.disk --resume $(if $(BUDGET),--budget $(BUDGET))

planted: .venv/dev.stamp ## every planted bug, and by which layer it is caught
	@$(BIN)/python -m tests.planted

kills: .venv/dev.stamp ## make kills BUDGET=600: killed at every await, in every way, for so many seconds; goes on where it stopped
	@$(BIN)/python -m tests.kills --budget $(or $(BUDGET),600) --resume

simulate: .venv/dev.stamp ## make simulate SEEDS=1000 FROM=0, or SEED=7 for one: whole processes on a simulated disk, clock and Discord
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED) $(if $(DIALS),--dials '$(DIALS)'),--seeds $(or $(SEEDS),1000) --from $(or $(FROM),0))

fencing: .venv/dev.stamp ## make fencing SCHEDULES=10000: two writers of one cloud, paused, killed, their answers lost, their writes late
	@$(BIN)/python -m tests.fencing --schedules $(or $(SCHEDULES),10000) --from $(or $(FROM),0)

chaos: .venv/dev.stamp ## make chaos MINUTES=10: real processes killed, frozen, starved of disk, their files deleted, for so long
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10)

prove: .venv/dev.stamp ## make prove BUDGET=20m FROM=0: all of these, each for its share of the time; goes on where it stopped
	@$(BIN)/python -m tests.prove --budget $(or $(BUDGET),20m) --from $(or $(FROM),0)

cases: .venv/dev.stamp ## make cases FILE=tests/attribution-cases.json
	@$(BIN)/python -m tests.cases $(or $(FILE),tests/attribution-cases.json)

mutate: .venv/dev.stamp ## 300 small bugs planted one by one: does a test notice? goes on where it stopped
	@$(BIN)/python -m tests.mutation --resume

fmt: .venv/dev.stamp
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --exit-zero .

lock: .venv/bin/python ## writes both locks anew; hashes only, no hosts
	@$(PIP) install uv
	@$(BIN)/uv pip compile pyproject.toml --group build --universal --generate-hashes --no-emit-index-url --no-header -q -o requirements.lock
	@$(BIN)/uv pip compile --group dev --universal --generate-hashes --no-emit-index-url --no-header -q -c requirements.lock -o requirements-dev.lock

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not there; PYTHON=python3.x make ... chooses another" >&2; exit 1; }
	@echo "setting up .venv (once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "InviteLedger needs Python 3.11 or newer; PYTHON=python3.x make ... chooses another")'
	@$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.lock pyproject.toml | .venv/bin/python
	@echo "installing what the bot needs ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

.venv/dev.stamp: requirements-dev.lock .venv/run.stamp
	@echo "installing what the tests need ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
