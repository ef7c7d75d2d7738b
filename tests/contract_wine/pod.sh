#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pod.sh ROOT [NAME=VALUE]... -- [ARGV]...: run the entry point of the Wine image in ROOT as a
# restricted pod would: uid 65532, no capabilities, read-only root, /tmp and the data directory of
# its own. The network is the host's. Everything in it ends when this does.
set -euo pipefail
root=$1
shift
environment=()
while [ "$1" != -- ]; do
    environment+=("$1")
    shift
done
shift

inside='
set -e
root=$0
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o uid=65532,gid=65532 tmpfs "$root/var/lib/mt5/terminal"
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all /usr/bin/python3 /opt/mt5/bin/start.py "$@"
'
# TMPDIR and HOME as hostile as a host can make them.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    HOME=/ TMPDIR=/nowhere "${environment[@]}" \
    unshare --mount --pid --fork --kill-child bash -c "$inside" "$root" "$@"
