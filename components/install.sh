#!/bin/sh
# Makes what a component needs on this machine, without network:  install.sh [--verify FOLDER] [STATE_DIRECTORY]
#
# Called in the component's working directory. In a built artefact `requirements.txt`, `target` and `wheelhouse/` lie beside
# this file, and the environment `venv-DIGEST` of exactly these libraries is made. In a checkout they do not, and the
# python3 of the search path has to have everything. --verify, which the recipes of built components say, compares the
# artefact and FOLDER with what was built, and makes the environment exactly what was built.
#
# With STATE_DIRECTORY it is called with root's rights: no other user may make a directory below /var/lib. Everything else is
# done as the owner of the working directory, who is the user that the component runs as: what root left there,
# the component could not replace later, and what the component put there, root must not follow.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "install: $*" >&2
    exit 1
}

folder=
if [ "${1-}" = --verify ]; then
    folder=$(cd "$2" && pwd)
    shift 2
fi

# Names of the user and group that components run as: owner of the working directory, else one that a nucleus makes.
owner() {
    found=$(stat -c %u:%g .)
    for name in ggc_user gg_component; do
        case $found in
        0:*) if id -u "$name" >/dev/null 2>&1; then found=$(id -u "$name"):$(id -g "$name"); fi ;;
        esac
    done
    echo "$found"
}

# Appears with its owner and mode, or not at all; one that is there stays as it is.
make_state_directory() {
    [ -d "$1" ] && return
    parent=$(dirname "$1")
    mkdir -p "$parent"
    made=$(mktemp -d "$parent/.vedette-XXXXXX")
    chown "$2" "$made"
    chmod 2770 "$made"
    mv -T "$made" "$1"
}

if [ "$#" -gt 0 ] && [ "$(id -u)" = 0 ]; then
    owner=$(owner)
    make_state_directory "$1" "$owner"
    case $owner in
    0:*) ;;
    *)
        command -v setpriv >/dev/null || fail "setpriv is missing; install the package util-linux"
        exec setpriv --reuid="${owner%:*}" --regid="${owner#*:}" --clear-groups \
            sh "$here/install.sh" ${folder:+--verify "$folder"}
        ;;
    esac
fi

[ -f "$here/requirements.txt" ] || exit 0

# shellcheck source=components/python.sh
. "$here/python.sh"
wanted=$(fact python)
machine=$(fact machine)
[ "$(uname -m)" = "$machine" ] ||
    fail "this artefact is for $machine, this machine is $(uname -m); build it with vedette build --platform"

find_python "$wanted"
[ -n "$python" ] ||
    fail "this artefact is for Python $wanted; found:${seen:- no Python at all}." \
        "Build it with vedette build --python-version, or give the device a Python $wanted of its own in /opt/vedette/python"

# Compares with what was built; nothing to compare with in an artefact that was put together by hand.
verify() {
    [ -z "$folder" ] || "$python" -I -S "$here/verify.py" "$@"
}
verify artefact "$here" "$folder" || fail "the artefact is not what was built; deploy the component again"

# Installs exactly the wheels of a folder:  install_wheels PYTHON FOLDER [options of pip install]
# Nothing of this machine's own settings of pip or Python has a say; a user without a home needs none.
install_wheels() {
    pip_python=$1
    wheels=$2
    shift 2
    env -i PATH="$PATH" HOME="$PWD" LANG=C.UTF-8 PIP_CONFIG_FILE=/dev/null \
        PYTHONPATH="$(echo "$here"/installer/pip-*.whl)" \
        "$pip_python" -s -P -m pip --isolated --disable-pip-version-check install \
        --quiet --no-index --no-deps --no-compile --no-cache-dir --root-user-action=ignore --require-hashes "$@" \
        --find-links "$wheels/wheelhouse" --requirement "$wheels/requirements.txt"
}

# What Panorama code asks for: an environment of its own, of the Python that it was written for.
install_code() {
    runtime=$1
    wanted=$(sed -n 's/^python=//p' "$runtime/target")
    code_python=$(command -v "python$wanted") || code_python=
    [ -n "$code_python" ] ||
        fail "the code of this application is for Python $wanted, and this machine has none; install python$wanted," \
            "or change panorama.python in the manifest and build it again"
    code_venv=code-venv-$(cat "$runtime/requirements.txt" "$runtime/target" | sha256sum | cut -c1-16)
    rm -rf code-new.* # of an installation that was interrupted
    if ! "$code_venv/bin/python3" -c '' 2>/dev/null; then
        new=code-new.$$
        trap 'rm -rf "$new"' EXIT
        "$code_python" -m venv --without-pip "$new"
        platforms=$(sed -n 's/^platform=/--platform=/p' "$runtime/target")
        # Installed by the component's own Python: there may be no pip that runs under the older one.
        # shellcheck disable=SC2086 # a list of words
        install_wheels "$venv/bin/python3" "$runtime" \
            --only-binary=:all: --implementation=cp --abi="$(sed -n 's/^abi=//p' "$runtime/target")" \
            --python-version="$wanted" $platforms --target "$new/lib/python$wanted/site-packages"
        rm -rf "$code_venv"
        sync -f "$new" 2>/dev/null || sync
        mv "$new" "$code_venv"
    fi
    ln -sfn "$code_venv" code-venv
    for each in code-venv-*/; do
        [ "${each%/}" = "$code_venv" ] || rm -rf "${each%/}"
    done
}

venv=venv-$(sha256sum <"$here/requirements.txt" | cut -c1-16)
rm -rf venv-new.* venv-*/.shared # of an installation that was interrupted
if ! [ -e "$venv" ] || ! verify environment "$here" "$PWD" || ! "$venv/bin/python3" -c '' 2>/dev/null; then
    new=venv-new.$$
    trap 'rm -rf "$new"' EXIT # where it fails; there is nothing of this name where it does not
    "$python" -m venv --without-pip "$new" # with pip it would need a package that many systems leave out
    install_wheels "$new/bin/python3" "$here" --no-warn-script-location
    verify settle "$here" "$new" || fail "the environment is not what was built; build the components again"
    rm -rf "$venv"
    sync -f "$new" 2>/dev/null || sync # whole on the disk before it gets its name
    mv "$new" "$venv"
fi
# Components use mostly the same libraries. Without it everything works, and takes more room.
"$python" -I -S "$here/share.py" "$venv" || :

# The one that was used before stays, so that going back to the version before takes no time.
touch "$venv"
before=
for each in $(ls -dt venv-*/); do
    each=${each%/}
    [ "$each" != "$venv" ] || continue
    if [ -z "$before" ]; then
        before=$each
    else
        rm -rf "$each"
    fi
done

# In an application's archive, and beside the files of a candidate, whose runtime is the same for every application.
for each in "$here" "$here/../application"; do
    if [ -f "$each/code-runtime/requirements.txt" ]; then
        install_code "$each/code-runtime"
    fi
done
