#!/bin/sh
# Makes a virtual environment: tools/venv.sh FOLDER. Reads $PYTHON (default python3).
# On a bare Debian or Ubuntu, root gets the missing venv module from apt-get.
set -eu

folder=$1
python=${PYTHON:-python3}

if ! command -v "$python" >/dev/null 2>&1; then
    echo "luthier: there is no '$python' here. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "luthier: '$python' is $("$python" -V 2>&1); Luthier needs Python 3.11 or newer." >&2
    for newer in python3.13 python3.12 python3.11; do
        if "$newer" -c '' >/dev/null 2>&1; then
            echo "luthier: you have $newer, so this works: make PYTHON=$newer" >&2
            exit 1
        fi
    done
    echo "luthier: install a newer one and name it: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "luthier: '$python' lacks its venv module; installing python$version-venv"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "python$version-venv"
    else
        echo "luthier: '$python' lacks its venv module. On Debian or Ubuntu: sudo apt-get install python$version-venv" >&2
        exit 1
    fi
fi
"$python" -m venv --clear "$folder"
