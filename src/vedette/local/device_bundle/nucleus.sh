# Greengrass: which nucleus is there, how it is installed, how the device gets its certificate.

lite_address=https://github.com/aws-greengrass/aws-greengrass-lite/releases/latest/download
classic_address=https://d2s8p88vqu9w66.cloudfront.net/releases

nucleus_installed() {
    case $nucleus in
        lite) have fleet-provisioning && { [ -f "$root/usr/lib/systemd/system/greengrass-lite.target" ] || [ -f "$root/lib/systemd/system/greengrass-lite.target" ]; } ;;
        classic) [ -f "$root/opt/vedette/nucleus/lib/Greengrass.jar" ] && [ -f "$root/opt/vedette/nucleus/claim.jar" ] ;;
    esac
}

# The device has its certificate. Nucleus lite says so by the end of its provisioning program only, so that is recorded.
provisioned() {
    case $nucleus in
        lite) [ -f "$root/etc/vedette/provisioned" ] ;;
        classic) [ -s "$root$greengrass/thingCert.crt" ] && [ -s "$root$greengrass/config/effectiveConfig.yaml" ] ;;
    esac
}

install_nucleus() {
    if nucleus_installed; then
        return 0
    fi
    package=$nucleus_package
    if [ -z "$package" ]; then
        case $nucleus in
            lite)
                suffix=x86-64
                [ "$(uname -m)" != aarch64 ] || suffix=arm64
                package="$work/nucleus.zip"
                fetch "$lite_address/aws-greengrass-lite-deb-$suffix.zip" "$package"
                ;;
            classic)
                package="$work/nucleus.zip"
                fetch "$classic_address/greengrass-nucleus-latest.zip" "$package"
                ;;
        esac
    fi
    found=$(sha256_of "$package")
    [ -z "$nucleus_sha256" ] || [ "$found" = "$nucleus_sha256" ] || die "$package has the SHA-256 $found." "Is it the right file?"
    say "nucleus: SHA-256 $found"
    "install_$nucleus" "$package"
}

install_lite() {
    deb=$1
    case $1 in
        *.zip)
            unzip -qo "$1" -d "$work/nucleus"
            deb=$(find "$work/nucleus" -name '*.deb' | head -n 1)
            [ -n "$deb" ] || die "$1 holds no .deb." "Give the package of your architecture."
            ;;
    esac
    # apt resolves what the package depends on; without it, or offline, dpkg must do.
    if [ "$offline" = no ] && have apt-get; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$deb" >"$work/apt" 2>&1 || die "apt-get does not install $deb: $(tail -n 1 "$work/apt")" "AWS builds the package for Ubuntu 24.04; --help for the classic nucleus: register with --nucleus classic."
    else
        dpkg -i "$deb" >"$work/apt" 2>&1 || die "dpkg does not install $deb: $(tail -n 1 "$work/apt")" "AWS builds the package for Ubuntu 24.04; install what it depends on."
    fi
    # What runs is kept, so that an update of it has a way back.
    mkdir -p "$root/var/lib/vedette-helper/nucleus"
    chmod 0700 "$root/var/lib/vedette-helper/nucleus"
    put "$deb" "$root/var/lib/vedette-helper/nucleus/current" 0600
}

install_classic() {
    target="$root/opt/vedette/nucleus"
    rm -rf "$target.new"
    mkdir -p "$target.new"
    unzip -qo "$1" -d "$target.new"
    [ -f "$target.new/lib/Greengrass.jar" ] || die "$1 holds no lib/Greengrass.jar." "Give AWS's greengrass-nucleus zip."
    plugin=$plugin_package
    if [ -z "$plugin" ]; then
        plugin="$work/claim.jar"
        fetch "$classic_address/aws-greengrass-FleetProvisioningByClaim/fleetprovisioningbyclaim-latest.jar" "$plugin"
    fi
    put "$plugin" "$target.new/claim.jar" 0644
    rm -rf "$target"
    mv "$target.new" "$target"
}

# The nucleus's configuration with the token in it, for root and the nucleus alone.
write_configuration() {
    sed "s/@TOKEN@/$(cat "$claim/token")/" "$here/config.yaml" >"$work/config.yaml"
    put "$work/config.yaml" "$1" "$2"
}

become_device() {
    if provisioned; then
        return 0
    fi
    "become_device_$nucleus"
}

become_device_lite() {
    write_configuration "$root/etc/greengrass/config.yaml" 0640
    own root:ggcore "$root/etc/greengrass/config.yaml"
    mkdir -p "$root$greengrass/credentials"
    own -R ggcore:ggcore "$root$greengrass"
    # An earlier attempt may have left its configuration, and its socket.
    rm -f "$root$greengrass/config.db" "$root/run/greengrass/iotcoredfleet"
    systemctl stop greengrass-lite.target
    systemctl start greengrass-lite.target
    if ! timeout "$wait_s" fleet-provisioning >"$work/claimed" 2>&1; then
        die "the account gave this machine no certificate: $(tail -n 1 "$work/claimed")" "A token is good once and for a time: register the device again and use the new bundle. The reason is in the log of the function claim."
    fi
    date -u +%Y-%m-%dT%H:%M:%SZ >"$work/now"
    put "$work/now" "$root/etc/vedette/provisioned" 0644
}

# The classic nucleus's plug-in sends the request for a certificate that it is given; the key never leaves the machine.
become_device_classic() {
    if [ ! -s "$claim/device.csr" ]; then
        openssl req -new -newkey rsa:2048 -nodes -sha256 -subj "/CN=$thing" \
            -keyout "$claim/device.key" -out "$claim/device.csr" 2>"$work/openssl" || die "openssl makes no key: $(tail -n 1 "$work/openssl")" ''
        chmod 0600 "$claim/device.key"
    fi
    write_configuration "$claim/config.yaml" 0600
    mkdir -p "$root$greengrass"
    java -Droot="$root$greengrass" -Dlog.store=FILE -jar "$root/opt/vedette/nucleus/lib/Greengrass.jar" \
        --trusted-plugin "$root/opt/vedette/nucleus/claim.jar" --init-config "$claim/config.yaml" \
        --component-default-user "$component_user:$component_group" --setup-system-service true >"$work/java" 2>&1 ||
        die "the nucleus does not install: $(tail -n 1 "$work/java")" "$root$greengrass/logs/greengrass.log"
    waited=0
    while ! provisioned; do
        [ "$waited" -lt "$wait_s" ] || die "the account gave this machine no certificate within $wait_s s." "The reason is in the log of the function claim. If the token is too old, register the device again and use the new bundle."
        sleep 1
        waited=$((waited + 1))
    done
}

forget_token() {
    rm -f "$claim/config.yaml" "$claim/device.csr"
    file="$root/etc/greengrass/config.yaml"
    if [ "$nucleus" = lite ] && [ -f "$file" ]; then
        sed 's/"Token": "[^"]*"/"Token": "used"/' "$file" >"$work/config.yaml"
        put "$work/config.yaml" "$file" 0640
        own root:ggcore "$file"
    fi
    # The nucleus has copied the device's key to where it reads it from.
    [ ! -s "$root$greengrass/privKey.key" ] || rm -f "$claim/device.key"
}

# Components of the bundle, for a site with a slow uplink. In the name of the ring's group: a component that stood in a group
# of its own as well would keep the ring's next deployment from another version of it.
deploy_components() {
    [ -d "$here/components/recipes" ] || return 0
    have ggl-cli || die "ggl-cli is missing, which deploys the components of the bundle." "It comes with nucleus lite."
    set -- deploy --recipe-dir "$here/components/recipes" --artifacts-dir "$here/components/artifacts"
    set -- "$@" --group-name "vedette-$(bundle_value fleet)-$(bundle_value ring)"
    for recipe in "$here/components/recipes"/*; do
        name=$(basename "$recipe" | sed -n 's/^\(.*\)-\([0-9][0-9]*\.[0-9].*\)\.[a-z]*$/\1=\2/p')
        [ -n "$name" ] || die "$recipe is no recipe." "Make the bundle again."
        set -- "$@" --add-component "$name"
    done
    ggl-cli "$@" >"$work/ggl-cli" 2>&1 || die "the components of the bundle are not taken: $(tail -n 1 "$work/ggl-cli")" "They come with the ring's next deployment, too."
}

start_nucleus() {
    case $nucleus in
        lite) systemctl restart greengrass-lite.target ;;
        classic) systemctl is-active --quiet greengrass.service || systemctl start greengrass.service ;;
    esac
}
