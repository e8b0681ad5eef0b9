#!/bin/sh
# Makes the virtual environment of the first argument from requirements.txt, every package by its hash.
set -eu
venv=$1
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "make: Python 3.11 or newer is needed, and $python is not; set PYTHON to one that is" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "make: installing python3-venv"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    else
        echo "make: $python has no venv module; install it (Debian: apt-get install python3-venv)" >&2
        exit 1
    fi
fi
state=$(cksum requirements.txt; "$python" --version)
if [ -f "$venv/.installed" ] && [ "$(cat "$venv/.installed")" = "$state" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    touch "$venv/.installed"
    exit 0
fi
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
echo "make: installing the requirements into $venv (about a minute)"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.txt
printf '%s' "$state" >"$venv/.installed"
