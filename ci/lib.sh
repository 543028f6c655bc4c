# shellcheck shell=bash
# Shared by the commands in ci/: finds Python and keeps .venv and the compiled core up to date.
# Everything said goes to stderr, so a command's standard output stays its own.

# CDPATH would make cd print; the repository is wherever this file is, whatever the current directory.
REPO=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034  # for the scripts that source this file
VENV=$REPO/.venv

# Prints the first Python that is new enough: $PYTHON, or that of .venv, or python3.13 down to python3.
find_python() {
    local candidate found=""
    for candidate in ${PYTHON:+"$PYTHON"} "$VENV/bin/python" python3.13 python3.12 python3.11 python3; do
        # A version manager's shim may exist and yet not run: ask the interpreter itself.
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
        if [[ -n ${PYTHON:-} ]]; then
            break
        fi
        if command -v "$candidate" >/dev/null 2>&1; then
            found+=" $candidate ($("$candidate" --version 2>&1 | head -n 1 || true))"
        fi
    done
    if [[ -n ${PYTHON:-} ]]; then
        echo "cexnet: PYTHON=$PYTHON is not a Python 3.11 or newer that runs." >&2
    else
        echo "cexnet: no Python 3.11 or newer found;${found:- no python3 at all}." >&2
        echo "cexnet: install one (Debian, Ubuntu: apt-get install python3 python3-dev python3-venv;" >&2
        echo "cexnet: Fedora: dnf install python3-devel; macOS: brew install python)," >&2
        echo "cexnet: or name one: PYTHON=/path/to/python3 $0" >&2
    fi
    return 2
}

# prepare demo|test|bench: after it, $VENV/bin holds everything that command needs.
prepare() {
    local python
    python=$(find_python) || exit 2
    "$python" "$REPO/ci/prepare.py" "$1" >&2 || exit
}
