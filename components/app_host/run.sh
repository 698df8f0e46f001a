#!/bin/sh
# Starts the component. The interpreter is that of the virtual environment made by install.sh in the component's
# working directory, or the system's.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python="$PWD/venv/bin/python3"
[ -x "$python" ] || python=python3
PYTHONPATH="$(dirname "$here")${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
exec "$python" -s -P -m app_host
