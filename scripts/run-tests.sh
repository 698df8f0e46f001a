#!/bin/sh
# Runs the suite in three tracks at once, so that a machine of two cores is not idle while tests of live processes wait
# for the clock: whole devices, single processes, and tests that only compute. The last run with the lowest priority:
# they take what the others leave and do not disturb their times. Usage: run-tests.sh PYTHON [pytest options]
set -u
python=$1
shift
devices="tests/edge tests/privacy"
computing="tests/applications tests/belt tests/cloud tests/contracts tests/core tests/engines tests/examples tests/insights
    tests/journal tests/manifest tests/models_store tests/outbox"
ignored=""
for folder in $devices $computing; do
    ignored="$ignored --ignore=$folder"
done
said=$(mktemp -d)
computed=""
lived=""
trap 'kill $computed $lived 2>/dev/null; rm -rf "$said"' EXIT
trap 'exit 130' INT TERM
# shellcheck disable=SC2086 # lists of words
HYPOTHESIS_PROFILE=patient nice -n 19 "$python" -m pytest -q -p no:cacheprovider --timeout=900 "$@" $computing \
    >"$said/computing" 2>&1 &
computed=$!
# shellcheck disable=SC2086
"$python" -m pytest -q -p no:cacheprovider "$@" $devices >"$said/devices" 2>&1 &
lived=$!
echo "tests of single processes; those of whole devices and those that only compute run beside them, shown at the end"
# shellcheck disable=SC2086
"$python" -m pytest -q "$@" $ignored tests
single=$?
wait "$lived"
devices=$?
wait "$computed"
computing=$?
for track in devices computing; do
    echo
    echo "tests, $track:"
    cat "$said/$track"
done
[ "$single" -eq 0 ] && [ "$devices" -eq 0 ] && [ "$computing" -eq 0 ]
