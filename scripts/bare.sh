#!/usr/bin/env bash
# Runs COMMAND where no programs can be seen but Python, pip, make, bash, coreutils and those of the C library:
# bare.sh COMMAND... It hides the others in a mount namespace of its own; nothing outside changes.
set -euo pipefail

packages=(bash dash coreutils make libc-bin)
others=(/usr/sbin /usr/local/bin /usr/local/sbin /usr/games /snap/bin)

if [ "${1:-}" != --inside ]; then
    kept=$(dpkg-query --listfiles "${packages[@]}" 2>/dev/null) ||
        { echo "bare.sh needs dpkg, to know what belongs to ${packages[*]}" >&2; exit 3; }
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(--map-root-user)
    unshare "${as_root[@]}" --mount true 2>/dev/null || { echo "no mount namespace can be made here" >&2; exit 3; }
    view=$(mktemp -d)
    status=0
    KEPT=$kept unshare "${as_root[@]}" --mount "$0" --inside "$view" "$@" || status=$?
    rmdir "$view"
    exit "$status"
fi
view=$2
shift 2

[ -L /bin ] || { echo "bare.sh needs /bin to be /usr/bin" >&2; exit 3; }
mount -t tmpfs -o mode=0755 bare "$view"
keep() { # FOLDER FILE...: show of a folder these files alone
    local shown=$view/${1//\//_} file
    mkdir "$shown"
    for file in "${@:2}"; do
        [[ ! -f $file || $file == *-config ]] || cp -a "$file" "$shown/"
    done
    mount --bind "$shown" "$1"
}
of_system=()
for file in $KEPT; do [[ $file != */bin/* ]] || of_system+=("/usr/bin/${file##*/}"); done
for folder in "${others[@]}"; do
    [ ! -d "$folder" ] || [ -L "$folder" ] || keep "$folder" "$folder"/python3* "$folder"/pip*
done
keep /usr/bin "${of_system[@]}" /usr/bin/python3* /usr/bin/pip*
unset KEPT
export PATH=/usr/local/bin:/usr/bin
exec "$@"
