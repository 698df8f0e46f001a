# Takes away what was installed. What the account knows stays: retire the device there.

remove_everything() {
    step="remove"
    systemctl disable --now vedette-device-helper.path vedette-device-revert.timer >/dev/null 2>&1 || :
    case $nucleus in
        lite)
            systemctl stop greengrass-lite.target >/dev/null 2>&1 || :
            ! have dpkg || dpkg -r aws-greengrass-lite >/dev/null 2>&1 || :
            ;;
        classic)
            systemctl disable --now greengrass.service >/dev/null 2>&1 || :
            rm -f "$root/etc/systemd/system/greengrass.service"
            ;;
    esac
    rm -f "$root"/etc/systemd/system/vedette-device-helper.* "$root"/etc/systemd/system/vedette-device-revert.*
    rm -rf "$root/usr/lib/vedette" "$root/opt/vedette" "$root/etc/vedette" "${root:?/}$greengrass" "$root/etc/greengrass"
    rm -rf "$root/var/lib/vedette-helper"
    systemctl daemon-reload >/dev/null 2>&1 || :
    [ "$purge" = no ] || rm -rf "$root/var/lib/vedette"
    rm -rf "$root/var/lib/vedette-install"
    step=''
    told=yes
    if [ "$json" = yes ]; then
        printf '{"device": "%s", "removed": true, "purged": %s}\n' "$(json_text "$thing")" "$([ "$purge" = yes ] && echo true || echo false)"
    else
        say "Removed. Its certificate is still good: vedette device retire $thing"
        [ "$purge" = yes ] || say "Kept: $root/var/lib/vedette (recordings, alerts not delivered); --purge removes it, too."
    fi
}
