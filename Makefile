# Everything that is done with this repository; `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PORT DATA_DIR

.PHONY: help
help:
	@echo "make demo         the whole loop on this machine, with an endpoint that breaks  (PORT=8000 DATA_DIR=.demo)"
	@echo "make dev          the demo while you change it: reloads, Django's debug pages    (PORT=8000 DATA_DIR=.dev)"
	@echo "make test         the whole test suite, on a real PostgreSQL; faults last about ten seconds each"
	@echo "make test-fast    the quick part of it: no browser, no faults, no extra processes"
	@echo "make test-faults  the fault tests only, a minute each                             (FAULT_SECONDS=60)"
	@echo "make run          the console, receiver and worker, against OpenTrain           (PORT=8000 DATA_DIR=.data)"
	@echo "make account      an account for 'make run'                                     (NAME=… ROLE=support_lead)"
	@echo "make partner-api  only the Partner API and its engine, to develop against       (PORT=8100 DATA_DIR=.partner-api)"
	@echo "make lint         every check that is not a test"
	@echo "make fuzz         the Partner API against 10,000 requests that nobody would write"
	@echo "make audit        known vulnerabilities and licences of what is installed; make sbom writes sbom.json"
	@echo "make screenshots  the README's pictures, taken from the demo"
	@echo "make styles       the part of Tabler's styles that the pages use, after a template has changed"
	@echo "make lock         rebuilds requirements*.txt from pyproject.toml"
	@echo "$(BENCHMARKS): the figures of docs/measured.md; ROWS=1000000 is for the pages and the export"

.PHONY: demo dev run partner-api account test test-fast test-faults fuzz screenshots styles lint format lock
demo: $(VENV)/.installed
	@exec $(BIN)/python -m dashboard.launch demo

dev: $(VENV)/.installed
	@exec $(BIN)/python -m dashboard.launch dev

run: $(VENV)/.installed
	@exec $(BIN)/python -m dashboard.launch run

partner-api: $(VENV)/.installed
	@exec $(BIN)/python -m dashboard.launch partner-api

account: $(VENV)/.installed
	@$(BIN)/python -m dashboard.launch manage account $(or $(NAME),$(error Say who: make account NAME=…)) --role $(or $(ROLE),support)

# PYTEST_ARGS chooses tests or shows more: make test PYTEST_ARGS="-x tests/journeys"
test: $(VENV)/.installed-dev
	@exec $(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

NOT_FAST = journeys faults launch
test-fast: $(VENV)/.installed-dev
	@exec $(BIN)/python -m pytest -n 2 --dist loadgroup -m "not browser and not slow" $(NOT_FAST:%=--ignore=tests/%) $(PYTEST_ARGS)

# One after the other: each has the machine to itself.
test-faults: export FAULT_SECONDS ?= 60
test-faults: $(VENV)/.installed-dev
	@exec $(BIN)/python -m pytest tests/faults $(PYTEST_ARGS)

# The suite makes 2,000 such requests.
fuzz: $(VENV)/.installed-dev
	FUZZ_CASES=10000 $(BIN)/python -m pytest -s tests/partner_api/test_api_fuzzing.py

# The README's pictures, each part from a demo of its own.
screenshots: export SCREENSHOTS = $(CURDIR)/tests/journeys/screenshots
screenshots: export REQUIRE_BROWSER = 1
screenshots: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/journeys/test_story.py
	$(BIN)/python -m pytest tests/journeys/test_recover.py

styles:
	$(PYTHON) -m tests.styles

# Minutes long, each with a database of its own; the last line is one JSON object.
BENCHMARKS = bench-receiver bench-pages bench-export bench-fleet bench-inbox bench-action bench-engine bench-requeue bench-scale
BENCHMARKS += bench-growth bench-audit bench-fairness bench-endpoints bench-spool bench-front bench-replay bench-groups
BENCHMARKS += bench-transparency bench-interference bench-reconcile
.PHONY: $(BENCHMARKS)
$(BENCHMARKS): $(VENV)/.installed-dev
	@exec $(BIN)/python -m tests.bench.$(subst -,_,$@) $(if $(filter bench-pages bench-export,$@),$(or $(ROWS),1000000))

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djade --target-version 5.2 --check $$(find templates -name '*.html')
	$(BIN)/lint-imports
	$(BIN)/python -m tests.layout
	$(BIN)/python -m mypy
	cd static/vendor && sha256sum --check --quiet SHA256SUMS
	$(BIN)/python manage.py makemigrations --check --dry-run --settings tests.lint_settings
	$(BIN)/python manage.py check --deploy --fail-level WARNING --settings tests.lint_settings

# Licences that we may ship and develop with; one that is not here has to be read first. A package under several needs one.
LICENCES = 0BSD;Apache Software License;Apache-2.0;Apache-2.0 AND BSD-2-Clause;Apache-2.0 AND MIT;Apache-2.0 OR BSD-2-Clause
LICENCES := $(LICENCES);Apache-2.0 OR BSD-3-Clause;BSD License;BSD-2-Clause;BSD-3-Clause;ISC License (ISCL);LGPL-3.0-only
LICENCES := $(LICENCES);MIT;MIT AND PSF-2.0;MIT License;MIT-0;MPL-2.0;Mozilla Public License 2.0 (MPL 2.0);PSF-2.0
LICENCES := $(LICENCES);Python Software Foundation License
.PHONY: audit sbom
# --strict: what could not be looked up has not been found harmless.
audit: $(VENV)/.installed-dev
	$(BIN)/pip-licenses --from=mixed --order=license --allow-only="$(LICENCES)"
	$(BIN)/pip-audit --strict --requirement requirements.txt --disable-pip --require-hashes
	$(BIN)/pip-audit --strict --requirement requirements-dev.txt --disable-pip --require-hashes

sbom: $(VENV)/.installed-dev
	$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --of JSON -o sbom.json
	@echo "sbom.json: what an installation consists of, in CycloneDX"

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djade --target-version 5.2 $$(find templates -name '*.html')

# No addresses in the lock: a plain pip installs it from wherever it is set up to look.
COMPILE = $(BIN)/pip-compile --quiet --generate-hashes --no-emit-options --no-header --strip-extras --allow-unsafe
lock: $(VENV)/.installed-dev
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Redeliver needs Python 3.11 or newer; this is %s. Choose another with PYTHON=…" % sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing packages …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@echo "Installing packages for development …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
