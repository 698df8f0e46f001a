#!/bin/sh
# Starts a component's process:  run.sh [--verify FOLDER] PYTHON_ARGUMENTS, such as -m inference
#
# Called in the component's working directory. A built artefact runs with the environment that install.sh made there, and
# with nothing else; a checkout with the python3 of the search path. --verify, which the recipes of built components say,
# compares every file of both and of FOLDER with what was built before any of it runs.
#
# Whatever it is called with, Python finds its standard streams open: the next file or socket would be opened in the place of
# one that is closed, and log lines would go there. Names of files are UTF-8, whatever the locale says.
set -eu
{ true 9>&2; } || exec 2>/dev/null
{ true 9>&1; } 2>/dev/null || exec >/dev/null
{ true 9<&0; } 2>/dev/null || exec </dev/null
export PYTHONUTF8=1
here=$(cd "$(dirname "$0")" && pwd)
unset PYTHONHOME
folder=
if [ "${1-}" = --verify ]; then
    folder=$(cd "$2" && pwd)
    shift 2
fi
venv=
if [ -f "$here/requirements.txt" ]; then
    venv=$PWD/venv-$(sha256sum <"$here/requirements.txt" | cut -c1-16)
fi
if [ -n "$folder" ]; then
    python=
    if [ -n "$venv" ]; then
        # shellcheck source=components/python.sh
        . "$here/python.sh"
        find_python "$(fact python)" "$(sed -n 's/^home = //p' "$venv/pyvenv.cfg" 2>/dev/null)"
    fi
    if ! "${python:-python3}" -I -S "$here/verify.py" start "$PWD" "$here" "$folder"; then
        echo "Deploy the component again. More: docs/errors.md#v606" >&2
        exit 1
    fi
fi
run=python3
if [ -n "$venv" ]; then
    run=$venv/bin/python3
    if ! [ -x "$run" ]; then
        echo "run: $run is missing; deploy the component again" >&2
        exit 1
    fi
    PYTHONPATH=$here
else
    PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONPATH
exec "$run" -s -P "$@"
