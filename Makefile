# Two commands set everything up: `make dev` and `make test`. Both make .venv from the hashed requirements.txt first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help dev test soak bench format schema docs requirements clean test-setup explorer

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

dev: $(VENV)/.installed explorer ## run everything on embedded defaults; WITH_CHAINS=1: with an Ethereum of its own
	@if [ -n "$(WITH_CHAINS)" ]; then sh deploy/node.sh deploy/chain; fi
	@WITH_CHAINS=$(WITH_CHAINS) exec $(BIN)/python -m server dev

test: test-setup ## run every check
	@sh deploy/check.sh

soak: test-setup ## run what takes longer
	@$(BIN)/pytest -m soak -n 2 -p no:cacheprovider

bench: $(VENV)/.installed ## compare with peers and limits (docs/performance.md); OPTIONS="--rows fan-one --rounds 3"
	@$(BIN)/python -m bench.compare $(OPTIONS)

format: $(VENV)/.installed ## format and fix what can be fixed
	@$(BIN)/ruff format -q . && $(BIN)/ruff check --fix .

schema: $(VENV)/.installed ## write schema.graphql
	@$(BIN)/python -m server schema

docs: $(VENV)/.installed ## write docs/configuration.md
	@$(BIN)/python -m core.settings_docs

requirements: ## pin and hash the requirements anew
	@sh deploy/requirements.sh

clean: ## remove what was made here, the data excepted
	@rm -rf $(VENV) .node node_modules tests/node/node_modules bench/peers/node/node_modules server/graphiql/node_modules server/graphiql/dist
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.installed: requirements.txt
	@PYTHON="$(PYTHON)" sh deploy/venv.sh $(VENV)

explorer:
	@sh deploy/node.sh server/graphiql build

test-setup: $(VENV)/.installed explorer
	@sh deploy/test-setup.sh
