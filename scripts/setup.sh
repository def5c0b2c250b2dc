#!/bin/sh
# Create .venv and install modelscan with the extras named in $1 (default: everything the tests need).
# Needs a Python >= 3.10; nothing else. Called by the Makefile; safe to call again, also after Ctrl-C.
set -eu
cd "$(dirname "$0")/.."
extras=${1:-local,gateway,postgres,hub,evals,mcp,dev}
venv=${VENV:-.venv}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.10 or newer found" >&2
    printf '\nhint: install one, or name it: make setup PYTHON=/path/to/python3.12\n' >&2
    exit 2
}

make_venv() {
    # Debian splits ensurepip into python3-venv; without it (and without root) the system's pip can
    # still install into an environment that has none of its own.
    rm -rf "$venv"
    "$1" -m venv "$venv" 2>/dev/null && return
    rm -rf "$venv"
    "$1" -m virtualenv --quiet "$venv" 2>/dev/null && return
    rm -rf "$venv"
    if "$1" -m pip --version >/dev/null 2>&1; then
        "$1" -m venv --without-pip "$venv"
        "$1" -m pip --python "$venv/bin/python" install --quiet pip && return
    fi
    rm -rf "$venv"
    echo "error: $1 can make no virtual environment (no ensurepip, virtualenv or pip)" >&2
    printf '\nhint: sudo apt-get install python3-venv\n' >&2
    exit 2
}

# One set-up at a time: two "make" at once must not mix. The lock is this file, which is always there.
exec 9<scripts/setup.sh
if command -v flock >/dev/null 2>&1; then flock 9; fi

# The stamp says for which folder: an environment does not survive being moved.
stamp="$venv/.installed-$(echo "$extras" | tr ',' '-')"
if [ "$stamp" -nt pyproject.toml ] && [ "$(cat "$stamp")" = "$PWD" ]; then exit 0; fi

# Unpacked wheels go where the trap removes them: pip and ensurepip leave theirs when they are killed.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/modelscan-setup.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

python=$(find_python)
# An environment without a working pip is one whose making was interrupted.
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || make_venv "$python"
echo "installing modelscan [$extras] into $venv …" >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[$extras]"
echo "$PWD" >"$stamp"
