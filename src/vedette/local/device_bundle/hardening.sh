# How the machine is protected: reported, not promised and not required. "unknown" means that nothing here can tell.

check_hardening() {
    check_secure_boot
    check_encryption
    check_listeners
    check_ssh
    check_upgrades
}

check_secure_boot() {
    fuse=$(cat "$root"/sys/devices/platform/tegra-fuse/odm_production_mode \
        "$root"/sys/devices/platform/efuse-burn/odm_production_mode 2>/dev/null | head -n 1 || :)
    case $fuse in
        0x00000001 | 1)
            note ok secure-boot "fuses are burnt" ''
            return
            ;;
        0x00000000 | 0)
            note warn secure-boot "fuses are not burnt" "Whoever has the machine can boot another system: NVIDIA's secure boot."
            return
            ;;
    esac
    said=$(mokutil --sb-state 2>/dev/null || :)
    case $said in
        *enabled*) note ok secure-boot "on" '' ;;
        *disabled*) note warn secure-boot "off" "Switch it on in the firmware." ;;
        *) note warn secure-boot "unknown" "Look into the firmware." ;;
    esac
}

check_encryption() {
    if ! have lsblk; then
        note warn encryption "unknown" "lsblk is missing."
    elif lsblk -rno TYPE 2>/dev/null | grep -q '^crypt$'; then
        note ok encryption "a disk is encrypted" ''
    else
        note warn encryption "no disk is encrypted" "Pictures and keys can be read by whoever takes the disk."
    fi
}

# Ports that listen beyond loopback, from the kernel's own table; addresses there are hexadecimal, back to front.
check_listeners() {
    ports=$(cat "$root/proc/net/tcp" "$root/proc/net/tcp6" 2>/dev/null | awk '
        function hex(text, n, i) {
            n = 0
            for (i = 1; i <= length(text); i++) n = n * 16 + index("0123456789ABCDEF", toupper(substr(text, i, 1))) - 1
            return n
        }
        $4 == "0A" {
            split($2, at, ":")
            if (at[1] ~ /^0100007F$/ || at[1] ~ /^00000000000000000000000001000000$/) next
            if (at[1] ~ /7F$/ && length(at[1]) == 8) next
            print hex(at[2])
        }' | sort -nu | tr '\n' ' ' || :)
    if [ -z "$ports" ]; then
        note ok open-ports "none" ''
    else
        note warn open-ports "$ports" "Close what nobody needs; Vedette listens on none."
    fi
}

# The first value that sshd reads is the one that counts; what is included comes first.
check_ssh() {
    if [ ! -f "$root/etc/ssh/sshd_config" ]; then
        note ok ssh "no SSH server" ''
        return
    fi
    said=$(cat "$root"/etc/ssh/sshd_config.d/*.conf "$root/etc/ssh/sshd_config" 2>/dev/null |
        awk 'tolower($1) == "passwordauthentication" {print tolower($2); exit}')
    if [ "$said" = no ]; then
        note ok ssh "keys only" ''
    else
        note warn ssh "passwords are taken" "PasswordAuthentication no"
    fi
}

check_upgrades() {
    if grep -qs 'Unattended-Upgrade "1"' "$root"/etc/apt/apt.conf.d/*; then
        note ok upgrades "unattended" ''
    else
        note warn upgrades "not unattended" "Security updates of the system come by hand only: unattended-upgrades."
    fi
}
