#!/bin/sh
# Makes the virtual environment from the wheels that came with the component; never touches the network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ -d "$here/wheelhouse" ] || exit 0 # a checkout or a machine where everything is installed already
python3 -m venv "$PWD/venv"
exec "$PWD/venv/bin/python3" -m pip install --quiet --no-index --find-links "$here/wheelhouse" "vedette[edge]"
