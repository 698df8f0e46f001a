# What all parts of the installer use: the bundle's values, records for people and machines, files with their rights.

# One value of bundle.json, which has one key a line.
bundle_value() {
    sed -n "s/^ *\"$1\": \"\\([^\"]*\\)\",\\{0,1\\}\$/\\1/p" "$bundle" | head -n 1
}

read_bundle() {
    bundle="$here/bundle.json"
    [ -f "$bundle" ] || bundle="$root/etc/vedette/bundle.json"
    [ -f "$bundle" ] || die "there is no bundle.json beside install.sh." "Copy the whole bundle."
    thing=$(bundle_value thing) region=$(bundle_value region) nucleus=$(bundle_value nucleus)
    data_endpoint=$(bundle_value data) credentials_endpoint=$(bundle_value credentials)
    case $nucleus in
        lite) component_user=gg_component component_group=gg_component greengrass=/var/lib/greengrass ;;
        classic) component_user=ggc_user component_group=ggc_group greengrass=/greengrass/v2 ;;
        *) die "bundle.json names no nucleus that this installer knows." "Make the bundle again." ;;
    esac
    claim="$root/etc/vedette/claim" unfinished="$root/var/lib/vedette-install/unfinished"
}

# A text as the inside of a JSON string.
json_text() {
    printf '%s' "$1" | tr -d '\000-\010\013-\037' | tr '\t\n' '  ' | sed 's/\\/\\\\/g; s/"/\\"/g'
}

say() {
    [ "$json" = yes ] || echo "$*"
}

# die MESSAGE HINT
die() {
    if [ "$json" = yes ]; then
        printf '{"device": "%s", "installed": false, "error": "%s", "hint": "%s"}\n' \
            "$(json_text "${thing:-}")" "$(json_text "$1")" "$(json_text "$2")"
    fi
    echo "install.sh: $1" >&2
    [ -z "$2" ] || echo "$2" >&2
    told=yes
    exit 1
}

# What every end of this program does: nothing half done goes without a word.
ended() {
    status=$1
    [ -z "${locked:-}" ] || rm -rf "$locked"
    rm -rf "$work"
    if [ "$status" -ne 0 ] && [ -n "${step:-}" ]; then
        mkdir -p "${unfinished%/*}"
        echo "$step" >"$unfinished"
        if [ "${told:-no}" = no ] && [ "$json" = yes ]; then
            printf '{"device": "%s", "installed": false, "error": "broke off", "step": "%s"}\n' \
                "$(json_text "$thing")" "$(json_text "$step")"
        fi
        echo "install.sh: it broke off at: $step. Nothing is lost: the same command goes on from there." >&2
    fi
    exit "$status"
}

need_root() {
    [ -n "$root" ] || [ "$(id -u)" = 0 ] || die "installing needs root." "Type: sudo sh $0"
}

# Two installers at once would undo each other. A lock whose owner is gone is taken over.
lock() {
    mkdir -p "$root/run"
    for _ in 1 2; do
        if mkdir "$root/run/vedette-install.lock" 2>/dev/null; then
            locked="$root/run/vedette-install.lock"
            echo $$ >"$locked/pid"
            return
        fi
        owner=$(cat "$root/run/vedette-install.lock/pid" 2>/dev/null || echo 0)
        if [ "$owner" != 0 ] && kill -0 "$owner" 2>/dev/null; then
            die "another installer is at work (process $owner)." "Wait for it."
        fi
        rm -rf "$root/run/vedette-install.lock"
    done
    die "the lock $root/run/vedette-install.lock cannot be taken." "Remove it."
}

# put SOURCE TARGET MODE: the file appears whole, and never with wider rights.
put() {
    mkdir -p "$(dirname "$2")"
    (
        umask 077
        cat "$1" >"$2.new"
    )
    chmod "$3" "$2.new"
    mv "$2.new" "$2"
}

# Rights of others only where there are others: below --root nobody else exists.
own() {
    [ -n "$root" ] || chown "$@"
}

have() {
    command -v "$1" >/dev/null 2>&1
}

sha256_of() {
    sha256sum "$1" | cut -d ' ' -f 1
}

# fetch URL FILE
fetch() {
    [ "$offline" = no ] || die "$1 may not be loaded (--offline)." "Give the file as an option."
    say "loading $1"
    curl -fsSL --proto '=https' --max-time 900 -o "$2" "$1" || die "$1 cannot be loaded." "Give the file as an option: --help"
}
