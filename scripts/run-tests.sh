#!/bin/sh
# Runs the suite in two tracks at once, so that a machine of two cores is not idle while tests of live processes wait
# for the clock. Tests that only compute run with the lowest priority: they take what the others leave and do not
# disturb their times. Usage: run-tests.sh PYTHON [pytest options]
set -u
python=$1
shift
computing="tests/applications tests/belt tests/building tests/cloud tests/contracts tests/core tests/device_document
    tests/engines tests/examples tests/insights tests/journal tests/manifest tests/models_store tests/outbox"
ignored=""
for folder in $computing; do
    ignored="$ignored --ignore=$folder"
done
said=$(mktemp)
trap 'kill "$other" 2>/dev/null; rm -f "$said"' EXIT
trap 'exit 130' INT TERM
# shellcheck disable=SC2086 # lists of words
nice -n 19 "$python" -m pytest -q -p no:cacheprovider --timeout=900 "$@" $computing >"$said" 2>&1 &
other=$!
echo "tests of live processes; those that only compute run beside them and are shown at the end"
# shellcheck disable=SC2086
"$python" -m pytest -q "$@" $ignored tests
live=$?
wait "$other"
computed=$?
echo
echo "tests that only compute:"
cat "$said"
[ "$live" -eq 0 ] && [ "$computed" -eq 0 ]
