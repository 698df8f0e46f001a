#!/bin/sh
# Makes the component's virtual environment from the wheels that came with it; no network. Without wheels there is
# nothing to do: the packages are installed already (a laptop, a device image).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
wheels="$(dirname "$here")/wheelhouse"
[ -d "$wheels" ] || exit 0
stamp=$(cat "$wheels"/*.whl | sha256sum | cut -c1-64)
if [ -x "$PWD/venv/bin/python3" ] && [ "$(cat "$PWD/venv/.stamp" 2>/dev/null || true)" = "$stamp" ]; then
    exit 0
fi
rm -rf "$PWD/venv"
python3 -m venv "$PWD/venv"
"$PWD/venv/bin/python3" -m pip install --quiet --no-index --find-links "$wheels" "vedette[edge]"
echo "$stamp" > "$PWD/venv/.stamp"
