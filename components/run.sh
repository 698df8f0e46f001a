#!/bin/sh
# Starts a component's process:  run.sh PYTHON_ARGUMENTS, such as -m inference
#
# Called in the component's working directory. A built artefact runs with the environment that install.sh made there, and
# with nothing else; a checkout with the python3 of the search path.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
unset PYTHONHOME
if [ -f "$here/requirements.txt" ]; then
    python=$PWD/venv-$(sha256sum <"$here/requirements.txt" | cut -c1-16)/bin/python3
    if ! [ -x "$python" ]; then
        echo "run: $python is missing; deploy the component again" >&2
        exit 1
    fi
    PYTHONPATH=$here
else
    python=python3
    PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONPATH
exec "$python" -s -P "$@"
