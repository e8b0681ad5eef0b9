#!/bin/sh
# Every gate, in the order of what fails fastest. Ends at the first that fails.
set -eu
bin=.venv/bin

step() { # says what it runs; the output only of what fails
    echo "== $*"
    output=$("$@" 2>&1) || {
        printf '%s\n' "$output"
        exit 1
    }
}

step $bin/ruff check .
step $bin/ruff format --check .
step $bin/lint-imports --no-cache
step $bin/mypy .
step $bin/python -m server schema --check
echo "== pytest"
exec $bin/pytest -m "not soak" -n 4 --dist worksteal -rs -p no:cacheprovider
