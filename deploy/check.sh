#!/bin/sh
# Every gate, in the order of what fails fastest. Ends at the first that fails.
set -eu
unset PYTHONDONTWRITEBYTECODE # else every process that a test starts compiles all modules, 0.5 s
export OPENBLAS_NUM_THREADS=1 # else every process that imports numpy has threads that wait for work by spinning
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
step $bin/python -m server schema --check
types=$(mktemp)
trap 'rm -f "$types"' EXIT
$bin/mypy . >"$types" 2>&1 & # the longest of them, beside the next
checking=$!
step $bin/lint-imports --no-cache
$bin/pytest --collect-only -q -p no:cacheprovider >/dev/null 2>&1 || : # compiles the tests, which each process of the last step would do; what fails fails there
echo "== $bin/mypy ."
wait $checking || {
    cat "$types"
    exit 1
}
echo "== pytest"
$bin/pytest -m "not soak" -n 4 --dist worksteal -rs -p no:cacheprovider
