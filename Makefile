# Every command of the project. Each target installs the packages that it needs; `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 4566
REGION ?= us-east-1
DATA ?= examples/breast_cancer/wdbc.csv
VENV := .venv
BIN := $(VENV)/bin
CDK := node_modules/.bin/cdk
PY := $(BIN)/python
LOCAL_HOME := build/aws
RUN_HOME := build/run
ASSEMBLIES := build/assemblies
export STAGE ?= dev
CONSOLE = $(shell expr $(PORT) + 14)
LOCAL_AWS = AWS_DEFAULT_REGION=$(REGION) SFN_WAIT_SCALE=0.01 $(PY) -m local_aws

export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1
# Containers often set it. Each process would then compile the packages that it imports again: the CDK's takes 4 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# --- set-up -------------------------------------------------------------------------------------------------------

INSTALLED := $(VENV)/.installed
CDK_INSTALLED := node_modules/.installed

# The version of a Python; nothing if it does not run.
VERSION = $(shell $(1) -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
SUPPORTED := 3.12 3.11
WANTED := $(if $(filter file,$(origin PYTHON)),$(SUPPORTED),$(or $(call VERSION,$(PYTHON)),none))
HERE := $(CURDIR)/$(VENV)
OF_FOLDER := $(shell grep -sF -e "=$(HERE)" -e "=\"$(HERE)" -e "='$(HERE)" $(VENV)/bin/activate)
# A .venv whose Python is another one or does not run, or that was copied from elsewhere, is replaced.
WRONG := $(if $(filter $(WANTED),$(if $(OF_FOLDER),$(call VERSION,$(PY)))),,yes)

# Stop make before anything is installed. A folder is made, as root's permissions say nothing of a read-only file system.
WRITABLE = $(shell made=$$(mktemp -d "$(1)/.writable-XXXXXX" 2>/dev/null) && rmdir "$$made" && echo yes)
FOUND = $(foreach each,$(SUPPORTED),$(if $(call VERSION,python$(each)),python$(each)))
IS = $(if $(call VERSION,$(PYTHON)),is Python $(call VERSION,$(PYTHON)),does not run)
HELP = This project needs Python 3.11 or 3.12: make install PYTHON=$(firstword $(FOUND) /path/to/python3.12)
NO_PYTHON = $(if $(filter $(SUPPORTED),$(call VERSION,$(PYTHON))),,$(error $(PYTHON) $(IS). $(HELP)))
NO_FOLDER = $(if $(call WRITABLE,$(CURDIR)),,$(error $(CURDIR) is not writable: .venv, node_modules and build are made there))
NO_HOME = $(if $(call WRITABLE,$(HOME)),,$(error HOME=$(HOME) is not writable: uv, npm and the CDK keep their caches there))

# Run a command quietly. If it fails, say what was to be installed, and its first error.
LOG := build/install.log
quietly = mkdir -p build; { $(2); } >$(LOG) 2>&1 || { echo "cannot install $(1): $$(grep -im1 -E '^(npm )?error' $(LOG)). \
Is there a network? All output: $(LOG)"; exit 1; }

.PHONY: replaced
$(INSTALLED): requirements.txt pyproject.toml local/pyproject.toml $(if $(WRONG),replaced)
	@$(if $(WRONG),$(NO_PYTHON))$(NO_FOLDER)$(NO_HOME)
	@echo "installing the Python packages into $(VENV) ..."
	@$(if $(WRONG),rm -rf $(VENV); $(PYTHON) -m venv $(VENV))
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt >$(VENV)/uv.txt
	@test -x $(VENV)/bin/uv || $(call quietly,uv,$(PY) -m pip install -qq --require-hashes --requirement $(VENV)/uv.txt)
	@$(call quietly,the Python packages,$(VENV)/bin/uv pip sync --quiet --python $(PY) requirements.txt)
	@$(VENV)/bin/uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable . --editable ./local
	@touch $@

$(CDK_INSTALLED): package-lock.json $(INSTALLED)
	@echo "installing the CDK CLI into node_modules ..."
	@$(call quietly,the CDK CLI,npm ci --no-fund --no-audit --loglevel=error)
	@touch $@

BENCH_INSTALLED := build/bench-venv/.installed
$(BENCH_INSTALLED): requirements-bench.txt $(INSTALLED)
	@echo "installing the baselines of the benchmark into build/bench-venv ..."
	@$(BIN)/uv venv --quiet --clear --python $(PY) build/bench-venv
	@$(BIN)/uv pip sync --quiet --python build/bench-venv/bin/python requirements-bench.txt
	@touch $@

.PHONY: install lock
install: $(INSTALLED) $(CDK_INSTALLED) ## install all packages
	@$(NO_FOLDER)$(NO_HOME)
lock: $(INSTALLED) ## compile each requirements*.in into its lock file
	for list in requirements requirements-bench requirements-checks; do uv pip compile --quiet $$list.in --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --output-file $$list.txt; done

# --- the main job -------------------------------------------------------------------------------------------------

.PHONY: run main-job up deployed down
run: install ## the whole pipeline on a local AWS of its own: deploy, upload, retrain, predict
	@$(LOCAL_AWS) run --home $(RUN_HOME) --port $(if $(filter file,$(origin PORT)),0,$(PORT)) -- \
		$(MAKE) --no-print-directory main-job

main-job: deployed
	@$(PY) -m ops upload "$(DATA)"
	@$(PY) -m ops watch
	@$(PY) -m ops predict

up: install ## start the local AWS, deploy to it and serve the console; both keep running; FRESH=1 forgets the last one's state
	@$(LOCAL_AWS) start --home $(LOCAL_HOME) --port $(PORT) $(if $(filter 1,$(FRESH)),--fresh)
	@$(LOCAL_AWS) exec --home $(LOCAL_HOME) -- $(MAKE) --no-print-directory deployed
	@$(LOCAL_AWS) beside console --home $(LOCAL_HOME) -- "$(CURDIR)/$(PY)" -m ops console --port $(CONSOLE)
	@echo "to use it:  source .venv/bin/activate;  eval \"\$$(make -s env$(if $(filter-out 4566,$(PORT)), PORT=$(PORT)))\";  ops --help"

# In the environment of a local AWS, which `run` and `exec` of local_aws set; its logs go to the home folder.
deployed:
	@echo "deploying with the CDK CLI ..."
	@$(CDK) bootstrap --app "" --progress bar aws://$$CDK_DEFAULT_ACCOUNT/$(REGION) >"$$LOCAL_AWS_HOME/bootstrap.log" 2>&1 \
		|| { cat "$$LOCAL_AWS_HOME/bootstrap.log"; exit 1; }
	@$(PY) -m ops bootstrap >>"$$LOCAL_AWS_HOME/bootstrap.log"
	@app=$$($(PY) -m cdk.assemblies $(ASSEMBLIES) 2>"$$LOCAL_AWS_HOME/deploy.log") \
		&& $(CDK) deploy --all --require-approval never --app "$$app" >>"$$LOCAL_AWS_HOME/deploy.log" 2>&1 \
		|| { cat "$$LOCAL_AWS_HOME/deploy.log"; exit 1; }
	@echo "deployed"

down: $(INSTALLED) ## stop the local AWS and the console; the next `make up` goes on from there
	@$(LOCAL_AWS) stop --home $(LOCAL_HOME)

.PHONY: env
env: $(INSTALLED) ## print the exports that point a shell to the local AWS
	@$(LOCAL_AWS) env --home $(LOCAL_HOME)

# --- checks -------------------------------------------------------------------------------------------------------

FOLDERS := pipeline lambdas cdk local/local_aws ops
PYTEST := $(PY) -m pytest --numprocesses 3 --dist loadgroup --no-loadscope-reorder

.PHONY: lint style types secrets audit checkers test-fast test tested test-full drills mutants failures iam snapshots bench bench-install bench-docs load postman synth
lint: style secrets audit types checkers ## ruff, mypy, secrets, known vulnerabilities, independent checkers of templates, roles, state machines

style: $(INSTALLED)
	ruff check .
	ruff format --check .

types: $(INSTALLED)
	mypy $(FOLDERS) bench tests
	cd local && mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache tests

# Excluded: hashes of packages, data, and templates with logical ids. The last option allows the tests' fake secrets.
secrets: $(INSTALLED)
	@git ls-files -z | xargs -0 detect-secrets-hook \
		--exclude-files '(requirements(-bench|-checks)?\.txt|package-lock\.json|\.csv|snapshots/.*\.json)$$' \
		--exclude-secrets '^(test|SECRET|not the secret|arn:aws:logs:.*|d41d8cd98f00b204e9800998ecf8427e)$$'

# Once per day at most. No package on PyPI ships a maintained vulnerability database, so pip-audit asks OSV; without a
# network the target says that nothing was checked. Ignored: CVE-2024-5206 is in TfidfVectorizer, which no job uses; the
# AWS image fixes the version of scikit-learn.
OSV ?= https://api.osv.dev/v1/query
audit: $(INSTALLED)
	@mkdir -p build; test -z "$$(find build/audited -newer requirements.txt -mtime -1 2>/dev/null)" || exit 0; \
	if $(PY) -c 'import socket, sys; from urllib.parse import urlsplit; at = urlsplit(sys.argv[1]); \
		socket.create_connection((at.hostname, at.port or 443), 5)' $(OSV) 2>/dev/null; then \
		pip-audit --vulnerability-service osv --osv-url $(OSV) --requirement requirements.txt \
			--require-hashes --disable-pip --progress-spinner off --ignore-vuln CVE-2024-5206 && touch build/audited; \
	else echo "dependency audit SKIPPED: cannot reach $(OSV). The packages were not checked. Run make audit with a network."; fi

# checkov has too many packages for the project's own environment; without a network the target says that it is missing.
CHECKS_INSTALLED := build/checks-venv/.installed
$(CHECKS_INSTALLED): requirements-checks.txt $(INSTALLED)
	@echo "installing checkov into build/checks-venv ..."
	@rm -rf build/checks-venv; $(BIN)/uv venv --quiet --python $(PY) build/checks-venv
	@if $(BIN)/uv pip sync --quiet --python build/checks-venv/bin/python requirements-checks.txt; then touch $@; \
	else rm -rf build/checks-venv; echo "checkov SKIPPED: its packages cannot be installed. Run make lint with a network."; fi

checkers: install $(CHECKS_INSTALLED)
	$(PY) -m pytest --numprocesses 2 -m checkers tests/cdk/test_checkers.py

test-fast: $(INSTALLED) ## the tests that deploy, synthesise and train nothing
	$(PYTEST) --numprocesses 2 -m "not cloud and not full and not checkers" \
		--ignore tests/cdk --ignore local/tests/linear_learner --ignore local/tests/scikit_learn

test: install style ## what .ci/run runs: lint without the independent checkers, all tests but the long ones, coverage
	@$(MAKE) --no-print-directory --jobs 4 audit secrets types tested

# Runs in parallel with mypy, which occupies one core for a minute.
tested: $(INSTALLED)
	@rm -rf build/iam
	$(PYTEST) --numprocesses 4 -m "not full and not checkers" --cov --cov-report=term --cov-report=xml:build/coverage.xml --junitxml=build/junit.xml --cov-fail-under=90
	@$(MAKE) -s iam >build/iam.txt || { cat build/iam.txt; exit 1; }

# The short tests run in the clean clone of tests/test_buildspec.py, as CodeBuild runs them.
test-full: install lint bench-install ## all tests, with fuzzing, load, scale and mutants
	@rm -rf build/drills
	$(PYTEST) --numprocesses 4 --durations 30 --junitxml=build/junit-full.xml -p tests.drills.record -m "(full or drill) and not alone"
	$(PYTEST) --numprocesses 1 --junitxml=build/junit-alone.xml -p tests.drills.record -m alone
	@$(PY) -m tests.drills.table

drills: install ## break what can break: kill -9, Ctrl-C, full disks, races, hostile pages; write the results into docs/failures.md
	@rm -rf build/drills
	$(PYTEST) -p tests.drills.record -m drill
	@$(PY) -m tests.drills.table --write

mutants: $(INSTALLED) ## make each change of tests/mutants.toml in a copy of the code: tests must catch 95 %; MUTANTS=lease selects some
	@$(PY) -m tests.mutants $(MUTANTS)

failures: install ## inject every fault of docs/failures.md and write the results into it
	@rm -rf build/failures
	WRITE_FAILURES=1 $(PYTEST) $(addprefix tests/deployments/test_,failures.py promotion.py approval.py turns.py encoded.py serverless.py score.py tuning.py) -k "not the_table_has"
	@$(PY) -m tests.deployments.table

iam: $(INSTALLED) ## list each permission of the stack's roles, and whether the last test run used it
	@$(PY) -m tests.iam_report build/iam cdk/iam_exceptions.toml

snapshots: install ## write the reviewed templates again; review their diff
	UPDATE_SNAPSHOTS=1 $(PY) -m pytest -q tests/cdk/test_snapshots.py

bench: install bench-install ## compare speed, memory and quality with other tools; charts in build/bench.html; BENCH=small takes 2 minutes
	$(PY) -m bench $(PART) || missed=$$?; $(if $(PART),,$(PY) -m bench.page;) exit $${missed:-0}

bench-install: $(BENCH_INSTALLED)

bench-docs: install ## write docs/performance.md and docs/scale.md from the last `make bench`
	$(PY) -m bench.page --docs

load: install ## test the API under load on the local AWS; LOAD_SECONDS=600 sets the steady part
	$(PY) -m bench.load

postman: install ## write the API as a Postman collection to build/postman.json
	@mkdir -p build && $(PY) -m cdk.api.postman > build/postman.json && echo build/postman.json

synth: install ## write the CloudFormation templates to cdk.out and the definition of retrain to build; needs no credentials
	$(CDK) synth --quiet
	@mkdir -p build; $(PY) -m pipeline >build/definition.json

# --- AWS ----------------------------------------------------------------------------------------------------------

# STAGE is a table [stage.<name>] of pipeline.toml.
APPROVAL ?= broadening
.PHONY: bootstrap cost deploy diff destroy delivery
bootstrap: install ## prepare the AWS account of your credentials, once per region: the CDK, the role of the API's logs
	$(CDK) bootstrap --app ""
	@$(PY) -m ops bootstrap

cost: install ## estimate the costs of a stage: always on, per run, per million predictions
	@$(PY) -m cdk.cost_estimate

deploy: install ## deploy a stage to the AWS account of your credentials (STAGE=dev)
	$(CDK) deploy --all --require-approval $(APPROVAL)
	@$(PY) -m ops status

diff: install ## show the changes that a deployment of a stage would make
	$(CDK) diff --all

delivery: install ## deploy the delivery pipeline: [delivery] of pipeline.toml
	$(CDK) deploy --app "$(PY) -m cdk.delivery" --output build/delivery --all

destroy: install ## delete a stage: the resources of its runs and its stack; DELETE_DATA=1 also deletes its data
	$(PY) -m ops destroy $(if $(filter 1,$(DELETE_DATA)),--data)

# --- housekeeping -------------------------------------------------------------------------------------------------

.PHONY: clean
clean: ## remove all files that targets created
	@test ! -x $(PY) || $(PY) -m local_aws stop --home $(LOCAL_HOME) || true
	rm -rf $(VENV) node_modules build cdk.out .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
