# The steps of an installation. Each looks whether it was done, and may be done again.

install_everything() {
    : >"$work/steps"
    run_step "unpack Python" unpack_python
    run_step "make users" make_users
    run_step "make folders" make_folders
    run_step "place the claim" place_claim
    run_step "install the helper" install_helper
    run_step "install the nucleus" install_nucleus
    run_step "become the device" become_device
    run_step "delete the claim's key and the token" forget_claim
    run_step "start" start_nucleus
    run_step "deploy what came along" deploy_components
    step=''
    rm -f "$unfinished"
    told=yes
    if [ "$json" = yes ]; then
        printf '{"device": "%s", "installed": true, "steps": [%s]}\n' "$(json_text "$thing")" \
            "$(sed 's/.*/"&"/' "$work/steps" | paste -sd, - | sed 's/,/, /g')"
        return
    fi
    echo
    echo "This machine is $thing. Its components come with the next deployment, within minutes."
    echo "At your desk: vedette device show $thing"
    [ -z "${left:-}" ] || echo "Still to do: $left" >&2
}

run_step() {
    step=$1
    say "$step"
    "$2"
    printf '%s\n' "$1" >>"$work/steps"
}

unpack_python() {
    [ -n "$python_archive" ] || return 0
    python_archive_fits || die "$python_archive: $archive_problem." "Give the right --python-sha256."
    home="$root/opt/vedette/python"
    name=$(printf '%.12s' "$wanted")
    mkdir -p "$home"
    if [ ! -x "$home/$name/bin/python3" ]; then
        rm -rf "$home/$name.new"
        mkdir "$home/$name.new"
        tar -xzf "$python_archive" -C "$home/$name.new" --no-same-owner
        inside=$(find "$home/$name.new" -path '*/bin/python3' | head -n 1)
        [ -n "$inside" ] || die "$python_archive holds no bin/python3." "Give a relocatable Python."
        rm -rf "${home:?}/$name"
        mv "${inside%/bin/python3}" "$home/$name" 2>/dev/null || mv "$home/$name.new" "$home/$name"
        rm -rf "$home/$name.new"
    fi
    point "$name" "$home/current"
}

# A link that always points somewhere.
point() {
    ln -sfn "$1" "$2.new"
    mv -T "$2.new" "$2"
}

make_users() {
    [ "$nucleus" = classic ] || user ggcore ggcore
    user "$component_user" "$component_group"
}

user() {
    getent group "$2" >/dev/null || groupadd --system "$2"
    getent passwd "$1" >/dev/null || useradd --system --no-create-home --shell /usr/sbin/nologin -g "$2" "$1"
}

make_folders() {
    for folder in "$root/var/lib/vedette" "$root/var/lib/vedette/agent" "$root/var/lib/vedette/agent/ask"; do
        mkdir -p "$folder"
        chmod 0750 "$folder"
        own "$component_user:$component_group" "$folder"
    done
}

# Everything below /etc/vedette is root's; the public key says whose updates the helper takes.
place_claim() {
    mkdir -p "$root/etc/vedette" "$claim"
    chmod 0755 "$root/etc/vedette"
    chmod 0700 "$claim"
    [ "$bundle" = "$root/etc/vedette/bundle.json" ] || put "$bundle" "$root/etc/vedette/bundle.json" 0644
    [ ! -f "$here/update.pub" ] || put "$here/update.pub" "$root/etc/vedette/update.pub" 0644
    provisioned && return 0
    for name in token claim.pem.crt claim.pem.key AmazonRootCA1.pem; do
        if [ -f "$here/$name" ]; then
            put "$here/$name" "$claim/$name" 0600
        elif [ ! -f "$claim/$name" ]; then
            die "$name is missing in the bundle." "Register the device again; a bundle is good once."
        fi
    done
    token=$(cat "$claim/token")
    case $token in '' | *[!A-Za-z0-9_-]*) die "the file token holds no token." "Register the device again." ;; esac
}

install_helper() {
    put "$here/device-helper.sh" "$root/usr/lib/vedette/device-helper" 0755
    for unit in vedette-device-helper.service vedette-device-helper.path vedette-device-revert.service vedette-device-revert.timer; do
        put "$here/$unit" "$root/etc/systemd/system/$unit" 0644
    done
    systemctl daemon-reload
    systemctl enable --now vedette-device-helper.path >/dev/null 2>&1 || die "systemd does not take the helper." "journalctl -u vedette-device-helper.path"
}

# What made this machine the device is of no use to anybody afterwards; the bundle's own copies go, too.
forget_claim() {
    rm -f "$claim/token" "$claim/claim.pem.key" "$claim/claim.pem.crt"
    forget_token
    for name in token claim.pem.key; do
        rm -f "$here/$name" 2>/dev/null || :
        [ ! -f "$here/$name" ] || left="delete $name on the medium of the bundle, which cannot be written."
    done
}
