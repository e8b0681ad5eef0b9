#!/bin/sh
# Pins and hashes both requirements files from pyproject.toml: everything for development, and what the image runs.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet uv
compile() {
    "$folder/venv/bin/uv" pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --quiet "$@"
}
compile --all-extras --prerelease=if-necessary-or-explicit -o requirements.txt
compile --no-annotate -c requirements.txt -o deploy/requirements.txt
