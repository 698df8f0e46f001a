#!/bin/sh
# Makes this machine the device that the bundle was registered for. Run again, it goes on where it broke off.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root='' mode=install json=no nucleus_package='' nucleus_sha256='' plugin_package='' python_archive='' python_sha256=''
cameras='' wait_s=300 offline=no purge=no accept=no

usage() {
    cat <<'TEXT'
Usage: sh install.sh [--check | --remove] [options]

  --check                  look at the machine, change nothing; ends with 1 where something needed is missing
  --remove                 take everything away again; what was recorded stays, unless --purge is given
  --json                   one JSON object on standard output
  --nucleus-package FILE   Greengrass nucleus: .deb or .zip (lite), .zip (classic); else it is downloaded
  --nucleus-sha256 HEX     what its SHA-256 must be
  --plugin-package FILE    classic: aws.greengrass.FleetProvisioningByClaim.jar; else it is downloaded
  --python-archive FILE    a Python of 3.11 or later as .tar.gz with bin/python3 in it, where the system has none
  --python-sha256 HEX      what its SHA-256 must be; without it FILE.sha256 is read
  --camera HOST[:PORT]     a camera that must be reachable (port 554); may be given again
  --offline                download nothing, and look for no address outside
  --wait SECONDS           how long the device may take to get its certificate (300)
  --accept                 install although something was found missing
  --root DIR               below this folder instead of / (for images, and for trying it out)

Examples:
  sudo sh install.sh --check --camera 10.0.0.7
  sudo sh install.sh --nucleus-package aws-greengrass-lite-deb-arm64.zip
  sudo sh install.sh --remove
TEXT
}

fail_usage() {
    echo "install.sh: $1" >&2
    echo "Type: sh install.sh --help" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --check) mode=check ;;
        --remove) mode=remove ;;
        --json) json=yes ;;
        --offline) offline=yes ;;
        --purge) purge=yes ;;
        --accept) accept=yes ;;
        --help | -h)
            usage
            exit 0
            ;;
        --nucleus-package | --nucleus-sha256 | --plugin-package | --python-archive | --python-sha256 | --camera | --wait | --root)
            [ $# -ge 2 ] || fail_usage "$1 needs a value."
            case $1 in
                --nucleus-package) nucleus_package=$2 ;;
                --nucleus-sha256) nucleus_sha256=$2 ;;
                --plugin-package) plugin_package=$2 ;;
                --python-archive) python_archive=$2 ;;
                --python-sha256) python_sha256=$2 ;;
                --camera) cameras="$cameras $2" ;;
                --wait) wait_s=$2 ;;
                --root) root=${2%/} ;;
            esac
            shift
            ;;
        *) fail_usage "$1 is no option." ;;
    esac
    shift
done
case $wait_s in '' | *[!0-9]*) fail_usage "--wait $wait_s is no number of seconds." ;; esac
for given in "$nucleus_package" "$plugin_package" "$python_archive"; do
    [ -z "$given" ] || [ -f "$given" ] || fail_usage "$given is no file."
done

work=$(mktemp -d)
. "$here/common.sh"
. "$here/checks.sh"
. "$here/hardening.sh"
. "$here/steps.sh"
. "$here/nucleus.sh"
. "$here/remove.sh"
trap 'ended $?' EXIT
trap 'exit 130' INT TERM

read_bundle
case $mode in
    check)
        run_checks
        tell_checks
        ;;
    remove)
        need_root
        lock
        remove_everything
        ;;
    install)
        need_root
        lock
        run_checks
        if [ "$(missing_count)" -gt 0 ] && [ "$accept" = no ]; then
            tell_checks
        fi
        install_everything
        ;;
esac
