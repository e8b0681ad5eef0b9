#!/bin/sh
# Every gate, in the order of what fails fastest. Ends at the first that fails.
set -eu
bin=.venv/bin

step() {
    echo "== $*"
    "$@"
}

step $bin/ruff check --quiet .
step $bin/ruff format --check --quiet .
step $bin/lint-imports --no-cache
step $bin/mypy --no-error-summary .
step $bin/python -m server schema --check
step $bin/pytest -m "not soak" -n 2 --dist worksteal -rs -p no:cacheprovider
