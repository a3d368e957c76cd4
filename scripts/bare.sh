#!/usr/bin/env bash
# Runs COMMAND where no programs can be seen but Python, pip, make, bash, coreutils and those of the C library:
# bare.sh COMMAND... It hides the others in a mount namespace of its own; nothing outside changes.
set -euo pipefail

packages=(bash dash coreutils make libc-bin)
hidden=(/usr/sbin /usr/local/bin /usr/local/sbin /usr/games /snap/bin)

if [ "${1:-}" != --inside ]; then
    kept=$(dpkg-query --listfiles "${packages[@]}" 2>/dev/null) || { echo "bare.sh needs dpkg, to know what belongs to ${packages[*]}" >&2; exit 3; }
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(--map-root-user)
    unshare "${as_root[@]}" --mount true 2>/dev/null || { echo "no mount namespace can be made here" >&2; exit 3; }
    KEPT=$kept exec unshare "${as_root[@]}" --mount "$0" --inside "$@"
fi
shift

mount -t tmpfs -o mode=0755 bare /mnt
mkdir /mnt/programs /mnt/nothing
for file in $KEPT /usr/bin/python3* /usr/bin/pip*; do
    file=/usr${file#/usr}
    case $file in /usr/bin/python3*-config) ;; /usr/bin/?*) [ ! -f "$file" ] || cp -a "$file" /mnt/programs/ ;; esac
done
# Its name in /etc/alternatives is a symlink too, so that plain copies keep working.
for folder in "${hidden[@]}"; do [ ! -d "$folder" ] || [ -L "$folder" ] || mount --bind /mnt/nothing "$folder"; done
[ -L /bin ] || { echo "bare.sh needs /bin to be /usr/bin" >&2; exit 3; }
mount --bind /mnt/programs /usr/bin
unset KEPT
hash -r
umount -l /mnt 2>/dev/null || true
export PATH=/usr/bin
exec "$@"
