# Finds the Python of a built artefact; read by install.sh and run.sh, which set `here`.

# One line of the file `target`:  fact NAME
fact() {
    sed -n "s/^$1=//p" "$here/target"
}

# Sets `python` to the first Python of a version, or to nothing, and `seen` to what there is:  find_python VERSION [HOME]
#
# The interpreter that the device's installer unpacks comes first: it is there where the system's is too old. Before
# that one comes HOME, which an environment says it was made with, where the search path has that directory too.
find_python() {
    python=
    seen=
    own=/opt/vedette/python/current/bin
    before=
    case ":$own:$PATH:" in
    *":${2:-none}:"*) before=$2/python3 ;;
    esac
    for each in $before $own/python3 python3.13 python3.12 python3.11 python3; do
        found=$(command -v "$each") || continue
        version=$("$found" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        seen="$seen $found ($version)"
        if [ "$version" = "$1" ]; then
            python=$found
            break
        fi
    done
}
