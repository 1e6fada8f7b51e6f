#!/bin/sh
# sandbox.sh NEW_ROOT CONFIG LOGS PLACE... -- COMMAND...
#
# Runs a command as a pod's container runs it, without a container engine and without root: a user that owns nothing and
# has no name, no capability, a read-only root that holds nothing but PLACE..., and /scratch as the one place to write.
set -eu
new=$1 config=$2 logs=$3
shift 3

mount --make-rprivate /
mount -t tmpfs -o mode=0755,size=4m tmpfs "$new"

show() { # source, place: read-only
    if [ -d "$1" ]; then mkdir -p "$new$2"; else mkdir -p "$new${2%/*}" && : >"$new$2"; fi
    mount --bind "$1" "$new$2"
    mount -o remount,bind,ro "$new$2"
}

while [ "$1" != -- ]; do
    if [ -L "$1" ]; then cp -P "$1" "$new$1"; elif [ -e "$1" ]; then show "$1" "$1"; fi
    shift
done
shift

for file in ld.so.cache ld.so.conf ld.so.conf.d ssl hosts nsswitch.conf localtime; do
    if [ -e "/etc/$file" ]; then show "$(readlink -f "/etc/$file")" "/etc/$file"; fi
done
show "$config" /etc/cybersec-mlops
show "$logs" /logs
mkdir -p "$new/dev" "$new/proc" "$new/work" "$new/tmp" "$new/scratch"
for device in null zero full random urandom; do
    : >"$new/dev/$device"
    mount --bind "/dev/$device" "$new/dev/$device"
done
mkdir "$new/dev/shm"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$new/dev/shm"
mount --rbind /proc "$new/proc"
mount -t tmpfs -o mode=1777,size=1g tmpfs "$new/scratch"
mount -o remount,bind,ro "$new"

exec unshare --user --map-user=10001 --map-group=10001 --root="$new" --wd=/work -- setpriv --no-new-privs "$@"
