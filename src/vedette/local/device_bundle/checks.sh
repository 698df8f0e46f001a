# What the machine has and lacks. Nothing here changes anything.

# note STATE NAME FOUND ADVICE; the states are ok, warn (can be lived with), missing (cannot).
note() {
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$(printf '%s' "$3" | tr '\t\n' '  ')" "$(printf '%s' "$4" | tr '\t\n' '  ')" >>"$work/checks"
}

missing_count() {
    grep -c '^missing' "$work/checks" || :
}

run_checks() {
    : >"$work/checks"
    if [ -f "$unfinished" ]; then
        note warn installation "broke off at: $(cat "$unfinished")" "Run install.sh again; it goes on from there."
    fi
    check_architecture
    check_system
    check_glibc
    check_python
    check_systemd
    check_disk
    check_clock
    check_programs
    check_nucleus
    check_addresses
    check_cameras
    check_hardening
}

check_architecture() {
    machine=$(uname -m)
    case $machine in
        aarch64 | x86_64) note ok architecture "$machine" '' ;;
        *) note missing architecture "$machine" "64-bit ARM or 64-bit Intel/AMD is needed." ;;
    esac
}

# JetPack by its L4T release, which NVIDIA writes into nv_tegra_release: R32 is 4, R34 and R35 are 5, R36 is 6, R38 is 7.
check_system() {
    release="$root/etc/nv_tegra_release"
    board=$(sed -n 's/^COMPATIBLE_SPEC  *//p; s/^TNSPEC  *//p' "$root/etc/nv_boot_control.conf" 2>/dev/null | head -n 1)
    if [ ! -f "$release" ] && [ -z "$board" ]; then
        name=$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$root/etc/os-release" 2>/dev/null | head -n 1)
        note ok system "${name:-unknown Linux}, no Jetson" ''
        return
    fi
    major=$(sed -n 's/^# R\([0-9]*\) (release).*/\1/p' "$release" 2>/dev/null | head -n 1)
    minor=$(sed -n 's/^# R[0-9]* (release), REVISION: \([0-9.]*\).*/\1/p' "$release" 2>/dev/null | head -n 1)
    jetpack=$(awk '/^Package: /{p=$2} /^Version: /&&p=="nvidia-jetpack"{print $2; exit}' "$root/var/lib/dpkg/status" 2>/dev/null || :)
    found="Jetson${board:+ $board}, L4T ${major:-unknown}${minor:+.$minor}"
    case $major in
        32) note warn system "$found, JetPack 4${jetpack:+ ($jetpack)}" "Its C library is too old: run Vedette in a container (docs/devices.md)." ;;
        34 | 35) note ok system "$found, JetPack 5${jetpack:+ ($jetpack)}" '' ;;
        36) note ok system "$found, JetPack 6${jetpack:+ ($jetpack)}" '' ;;
        38) note ok system "$found, JetPack 7${jetpack:+ ($jetpack)}" '' ;;
        *) note warn system "$found" "A JetPack that this installer does not know; what it needs is checked below." ;;
    esac
}

check_glibc() {
    version=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2 || :)
    case $version in
        '') note missing glibc "none found" "GNU's C library 2.28 or later is needed; musl will not do." ;;
        *) if at_least "$version" 2 28; then note ok glibc "$version" ''; else note missing glibc "$version" "2.28 or later is needed."; fi ;;
    esac
}

# at_least VERSION MAJOR MINOR
at_least() {
    have_major=${1%%.*} rest=${1#*.}
    have_minor=${rest%%.*}
    case $have_major$have_minor in '' | *[!0-9]*) return 1 ;; esac
    [ "$have_major" -gt "$2" ] || { [ "$have_major" -eq "$2" ] && [ "$have_minor" -ge "$3" ]; }
}

python_version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || :
}

check_python() {
    own_python="$root/opt/vedette/python/current/bin/python3"
    for candidate in "$own_python" python3; do
        version=$(python_version "$candidate")
        if [ -n "$version" ] && at_least "$version" 3 11; then
            if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
                note ok python "$version ($candidate)" ''
                return
            fi
            note missing python "$version without venv" "Install python3-venv, or give --python-archive FILE."
            return
        fi
    done
    if [ -n "$python_archive" ]; then
        if python_archive_fits; then
            note ok python "will be unpacked from $python_archive" ''
        else
            note missing python "$python_archive: $archive_problem" "Give the right --python-sha256."
        fi
        return
    fi
    note missing python "${version:-none}" "3.11 or later is needed; an isolated one: --python-archive FILE."
}

# Whether the archive is the one that was meant; archive_problem says why not.
python_archive_fits() {
    wanted=$python_sha256
    if [ -z "$wanted" ] && [ -f "$python_archive.sha256" ]; then
        wanted=$(cut -d ' ' -f 1 "$python_archive.sha256" | head -n 1)
    fi
    archive_problem="its SHA-256 is not given"
    [ -n "$wanted" ] || return 1
    archive_problem="its SHA-256 is another than $wanted"
    [ "$(sha256_of "$python_archive")" = "$wanted" ]
}

check_systemd() {
    if have systemctl && [ -d "$root/run/systemd/system" ]; then
        note ok systemd "running" ''
    else
        note missing systemd "not running" "Both nuclei run under systemd."
    fi
}

check_disk() {
    free_mb=$(df -Pk "$root/" | awk 'NR==2{print int($4/1024)}')
    if [ "$free_mb" -lt 2048 ]; then
        note missing disk "$free_mb MB free" "2 GB are needed, 8 GB wanted."
    elif [ "$free_mb" -lt 8192 ]; then
        note warn disk "$free_mb MB free" "8 GB are wanted for evidence and long outages."
    else
        note ok disk "$free_mb MB free" ''
    fi
}

check_clock() {
    if [ "$(timedatectl show -p NTPSynchronized --value 2>/dev/null || :)" = yes ]; then
        note ok clock "synchronised" ''
        return
    fi
    said=''
    if [ "$offline" = no ] && have curl; then
        said=$(curl -sSI --max-time 10 "https://$credentials_endpoint/" 2>/dev/null | sed -n 's/^[Dd]ate: *//p' | tr -d '\r' || :)
    fi
    there=$(date -u -d "$said" +%s 2>/dev/null || :)
    if [ -z "$said" ] || [ -z "$there" ]; then
        note warn clock "nobody says whether it is right" "Switch time synchronisation on: timedatectl set-ntp true"
        return
    fi
    off=$(($(date -u +%s) - there))
    off=${off#-}
    if [ "$off" -le 60 ]; then
        note warn clock "right to $off s, not synchronised" "timedatectl set-ntp true"
    else
        note missing clock "$off s off" "Certificates would be refused: timedatectl set-ntp true"
    fi
}

check_programs() {
    lacking=''
    for program in awk sed tar sha256sum openssl curl unzip; do
        have "$program" || lacking="$lacking $program"
    done
    if [ -n "$lacking" ]; then note missing programs "without:$lacking" "Install them."; else note ok programs "all there" ''; fi
}

check_nucleus() {
    if nucleus_installed; then
        note ok nucleus "$nucleus is installed" ''
    elif [ -n "$nucleus_package" ]; then
        if [ -n "$nucleus_sha256" ] && [ "$(sha256_of "$nucleus_package")" != "$nucleus_sha256" ]; then
            note missing nucleus "$nucleus_package has another SHA-256" "Is it the right file?"
        else
            note ok nucleus "$nucleus from $nucleus_package" ''
        fi
    elif [ "$offline" = yes ]; then
        note missing nucleus "no package" "Give it: --nucleus-package FILE"
    else
        note ok nucleus "$nucleus is loaded from AWS" ''
    fi
    [ "$nucleus" = classic ] || return 0
    version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\)[."].*/\1/p' | head -n 1 || :)
    if [ -n "$version" ] && [ "$version" -ge 11 ]; then
        note ok java "$version" ''
    else
        note missing java "${version:-none}" "The classic nucleus needs Java 11 or later: default-jre-headless"
    fi
}

# reachable HOST PORT; 2 where nothing here can try.
reachable() {
    if have nc; then
        nc -z -w 3 "$1" "$2" >/dev/null 2>&1
    elif have python3; then
        python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()' "$1" "$2" 2>/dev/null
    else
        return 2
    fi
}

# tried NAME STATE HOST PORT ADVICE
tried() {
    if reachable "$3" "$4"; then
        note ok "$1" "$3:$4 answers" ''
    else
        note "$2" "$1" "$3:$4 does not answer" "$5"
    fi
}

check_addresses() {
    if [ "$offline" = yes ]; then
        note warn account "not looked for (--offline)" ''
        return
    fi
    tried account missing "$data_endpoint" 8883 "Let the device out to port 8883 (docs/network.md)."
    tried credentials missing "$credentials_endpoint" 443 "Let the device out to port 443."
}

check_cameras() {
    for camera in $cameras; do
        case $camera in
            *:*) tried camera missing "${camera%:*}" "${camera##*:}" "Is it on, and in this network?" ;;
            *) tried camera missing "$camera" 554 "Is it on, and in this network? Another port: --camera HOST:PORT" ;;
        esac
    done
}

tell_checks() {
    missing=$(missing_count)
    if [ "$json" = yes ]; then
        ready=true
        [ "$missing" -eq 0 ] || ready=false
        printf '{"device": "%s", "ready": %s, "checks": [' "$(json_text "$thing")" "$ready"
        comma=''
        while IFS='	' read -r state name found advice; do
            printf '%s{"name": "%s", "state": "%s", "found": "%s", "advice": "%s"}' "$comma" \
                "$(json_text "$name")" "$state" "$(json_text "$found")" "$(json_text "$advice")"
            comma=', '
        done <"$work/checks"
        printf ']}\n'
    else
        awk -F '\t' '{printf "%-8s %-18s %s%s\n", $1, $2, $3, ($4 == "" ? "" : "\n" sprintf("%28s", "") $4)}' "$work/checks"
        if [ "$missing" -eq 0 ]; then
            echo "This machine can become $thing."
        else
            echo "Missing: $missing. Nothing was changed."
        fi
    fi
    told=yes
    [ "$missing" -eq 0 ] || exit 1
    exit 0
}
