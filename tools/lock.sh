#!/bin/sh
# Writes requirements/*.lock from pyproject.toml, for all systems and Pythons we claim, with hashes.
# Usage: tools/lock.sh [--upgrade | --upgrade-package NAME]
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT INT TERM
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv>=0.7"

# lock NAME ARGUMENT... : resolves, and strips every line that could name a path or an index.
lock() {
    name=$1
    shift
    touch "requirements/$name.lock" # what is already locked stays, unless --upgrade is given
    "$scratch/venv/bin/uv" --quiet pip compile pyproject.toml --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
        --output-file "requirements/$name.lock" "$@"
    {
        echo "# Made by \`make lock\` from pyproject.toml; do not edit."
        grep -v -E '^(#|--(index|extra-index|find-links))' "requirements/$name.lock"
    } >"$scratch/out"
    cat "$scratch/out" >"requirements/$name.lock"
    echo "requirements/$name.lock: $(grep -c -E '^[A-Za-z0-9]' "requirements/$name.lock") packages"
}

# The development lock comes first; the others take the same versions, so one .venv serves them all.
lock dev --group dev --extra sklearn --extra data --extra postgres --extra plot --extra studio "$@"
lock demo --group demo --extra sklearn --constraint requirements/dev.lock "$@"
lock bench --group bench --extra sklearn --extra data --extra postgres --extra studio --constraint requirements/dev.lock "$@"
