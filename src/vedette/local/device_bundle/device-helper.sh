#!/bin/sh
# The only part of a device's updates that runs as root. It takes requests from a folder that unprivileged components can
# write, so it believes nothing in them: it reboots, applies what the account's key has signed, and puts back what was there.
set -eu
root=${VEDETTE_ROOT:-}
ask="$root/var/lib/vedette/agent/ask" own="$root/var/lib/vedette-helper" key="$root/etc/vedette/update.pub"
python="$root/opt/vedette/python"
most_bytes=1073741824
umask 022
mkdir -p "$own/results"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# answer STATUS REASON
answer() {
    printf 'status=%s\nreason=%s\n' "$1" "$2" >"$own/results/$id.new"
    mv "$own/results/$id.new" "$own/results/$id"
    [ "$1" = done ] || echo "vedette-device-helper: $operation: $1: $2" >&2
}

refuse() {
    [ "${applying:-no}" = no ] || settled
    answer refused "$1"
    exit 0
}

# One line NAME=VALUE of the request whose value consists of the allowed characters only; else empty.
field() {
    sed -n "s/^$1=\\([$2]\\{1,$3\\}\\)\$/\\1/p" "$work/request" | head -n 1
}

# Results of requests that are long over.
forget_old() {
    find "$own/results" -type f -mtime +30 -delete 2>/dev/null || :
}

nucleus_of() {
    sed -n 's/^ *"nucleus": "\([a-z]*\)",\{0,1\}$/\1/p' "$root/etc/vedette/bundle.json" 2>/dev/null | head -n 1
}

restart_nucleus() {
    case $(nucleus_of) in
        classic) systemctl restart --no-block greengrass.service ;;
        *) systemctl restart --no-block greengrass-lite.target ;;
    esac
}

reboot_machine() {
    up=$(cut -d . -f 1 "$root/proc/uptime" 2>/dev/null || echo 0)
    # Whatever asks again and again shall not keep the machine from its work.
    [ "$up" -ge 300 ] || refuse "the machine has been up for $up s only; a reboot is taken after 300 s"
    answer done ''
    systemctl reboot
}

# The package as root's own copy: what is checked is what is used, whatever becomes of the file that was handed over.
take_package() {
    [ -f "$key" ] || refuse "there is no key that says whose updates are good (/etc/vedette/update.pub)"
    printf 'vedette-update 1\nkind=%s\nversion=%s\nsha256=%s\n' "$kind" "$version" "$sha256" >"$work/statement"
    printf '%s' "$signature" | openssl base64 -d -A >"$work/signature" 2>/dev/null || refuse "the signature cannot be read"
    openssl dgst -sha256 -verify "$key" -signature "$work/signature" "$work/statement" >/dev/null 2>&1 ||
        refuse "the update is not signed by this account"
    mkdir -p "$own/$kind"
    chmod 0700 "$own/$kind"
    package="$own/$kind/new"
    timeout 300 head -c $((most_bytes + 1)) "$ask/package" >"$package" 2>/dev/null || refuse "there is no package"
    rm -f "$ask/package"
    [ "$(wc -c <"$package")" -le "$most_bytes" ] || refuse "the package is larger than $most_bytes bytes"
    [ "$(sha256sum "$package" | cut -d ' ' -f 1)" = "$sha256" ] || refuse "the package is another than the one that was signed"
}

apply() {
    case $kind in nucleus | runtime) ;; *) refuse "no such kind of update" ;; esac
    if [ -f "$own/pending" ]; then
        systemctl enable --now vedette-device-revert.timer >/dev/null 2>&1 || : # a power cut may have come before it
        refuse "another update waits to be confirmed"
    fi
    take_package
    # What an update before this one left would be taken for the way back from this one.
    rm -f "$python/previous" "$own/nucleus/previous"
    # Before anything changes: nobody may be left to confirm, and then the previous one comes back by itself.
    echo "$((probation / 60 + 20))" >"$own/minutes"
    printf 'id=%s\nkind=%s\n' "$id" "$kind" >"$own/pending"
    sync -f "$own" # a power cut may not leave the change without this
    systemctl enable --now vedette-device-revert.timer >/dev/null 2>&1 || :
    applying=yes
    "apply_$kind"
    answer done ''
    restart_nucleus
}

apply_nucleus() {
    [ "$(nucleus_of)" = lite ] || refuse "the classic nucleus is updated by a deployment"
    [ -f "$own/nucleus/current" ] || refuse "the package of the nucleus that runs is not kept here, so there would be no way back"
    mv "$own/nucleus/current" "$own/nucleus/previous"
    mv "$own/nucleus/new" "$own/nucleus/current"
    if ! install_package current; then
        put_back || :
        refuse "the package does not install: $(tail -n 1 "$work/dpkg" | tr -cd '[:print:]' | cut -c 1-200)"
    fi
}

# dpkg looks at the name.
install_package() {
    cp "$own/nucleus/$1" "$work/nucleus.deb"
    dpkg -i --force-confold "$work/nucleus.deb" >"$work/dpkg" 2>&1
}

apply_runtime() {
    [ -L "$python/current" ] || refuse "this machine has no runtime of ours (/opt/vedette/python/current)"
    name=$(printf '%.12s' "$sha256")
    rm -rf "$python/$name.new"
    mkdir -p "$python/$name.new"
    tar -xzf "$own/runtime/new" -C "$python/$name.new" --no-same-owner 2>/dev/null || refuse "the package is no .tar.gz"
    inside=$(find "$python/$name.new" -path '*/bin/python3' | head -n 1)
    [ -n "$inside" ] || refuse "the package holds no bin/python3"
    "$inside" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || refuse "its Python does not run here, or is older than 3.11"
    if [ "$(readlink "$python/current")" != "$name" ]; then
        rm -rf "${python:?}/$name"
        mv "${inside%/bin/python3}" "$python/$name" 2>/dev/null || mv "$python/$name.new" "$python/$name"
        sync -f "$python" # names reach the disk before what is in the files: a power cut would leave a runtime of nothing
        point "$(readlink "$python/current")" "$python/previous"
        point "$name" "$python/current"
    fi
    rm -rf "$python/$name.new" "$own/runtime/new"
}

point() {
    ln -sfn "$1" "$2.new"
    mv -T "$2.new" "$2"
}

put_back() {
    case $kind in
        nucleus)
            # Where it has its name already, whoever put it back was interrupted before it was installed.
            [ ! -f "$own/nucleus/previous" ] || mv "$own/nucleus/previous" "$own/nucleus/current"
            [ -f "$own/nucleus/current" ] || return 1
            install_package current
            ;;
        runtime)
            [ -L "$python/previous" ] || return 0 # the same one was applied
            mv -T "$python/previous" "$python/current"
            ;;
    esac
}

settled() {
    rm -f "$own/pending" "$own/minutes"
    systemctl disable --now vedette-device-revert.timer >/dev/null 2>&1 || :
}

# The kind of the update that waits, if it is the one that is asked about.
pending_kind() {
    sed -n 's/^kind=//p' "$own/pending" 2>/dev/null
}

restore() {
    [ -f "$own/pending" ] && [ "$(sed -n 's/^id=//p' "$own/pending")" = "$id" ] || refuse "no such update waits"
    kind=$(pending_kind)
    if put_back; then
        settled
        answer "$1" "$2"
    else
        answer failed "the previous $kind cannot be put back"
    fi
    restart_nucleus
}

confirm() {
    [ -f "$own/pending" ] && [ "$(sed -n 's/^id=//p' "$own/pending")" = "$id" ] || refuse "no such update waits"
    kind=$(pending_kind)
    settled
    [ "$kind" != runtime ] || rm -f "$python/previous"
    answer confirmed ''
}

# Once a minute while an update waits.
tick() {
    [ -f "$own/pending" ] || {
        settled
        return
    }
    left=$(cat "$own/minutes" 2>/dev/null || echo 0)
    if [ "$left" -gt 0 ]; then
        echo "$((left - 1))" >"$own/minutes"
        return
    fi
    operation=revert
    id=$(sed -n 's/^id=//p' "$own/pending")
    restore reverted "nobody confirmed it in time"
}

if [ "${1:-}" = tick ]; then
    tick
    exit 0
fi
forget_old
[ -f "$ask/request" ] && [ ! -L "$ask/request" ] || {
    rm -rf "$ask/request"
    exit 0
}
timeout 10 head -c 4096 "$ask/request" >"$work/request" || :
rm -f "$ask/request"
id=$(field id 'A-Za-z0-9_-' 80) operation=$(field operation 'a-z' 20)
[ -n "$id" ] || {
    echo "vedette-device-helper: a request without a number" >&2
    exit 0
}
kind=$(field kind 'a-z' 20) version=$(field version 'A-Za-z0-9.+~-' 64) sha256=$(field sha256 '0-9a-f' 64)
signature=$(field signature 'A-Za-z0-9+\/=' 200) probation=$(field probation '0-9' 5)
probation=${probation:-600}
case $operation in
    reboot) reboot_machine ;;
    apply) apply ;;
    confirm) confirm ;;
    restore) restore restored '' ;;
    *) refuse "no such operation" ;;
esac
