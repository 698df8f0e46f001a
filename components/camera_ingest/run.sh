#!/bin/sh
# Starts the component: the interpreter of the component's own virtual environment where install.sh made one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=python3
if [ -x "$PWD/venv/bin/python3" ]; then
    python="$PWD/venv/bin/python3"
fi
PYTHONPATH="$(dirname "$here")${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
exec "$python" -s -P -m camera_ingest
