#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install Debian's Wine and what it needs to run without a screen; further packages as arguments.
set -eu
dlls=/usr/lib/x86_64-linux-gnu/wine/x86_64-windows

apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
    ca-certificates fonts-liberation matchbox-window-manager python3 wine wine64 xvfb binutils "$@"

# Debian ships Wine's DLLs with their debug information: 711 MB with it, 231 MB without.
find "$dlls" -type f -name '*.*' -print0 | xargs -0 -P 2 -n 40 strip --strip-debug

apt-get purge -q -y binutils
apt-get autoremove -q -y
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/*

# Brokers with IPv6 addresses and a node without IPv6 make connections vanish: prefer IPv4.
echo 'precedence ::ffff:0:0/96 100' >>/etc/gai.conf

# Wine names the Windows user after the Linux one, in paths that are baked into the prefix.
groupadd --gid 65532 nonroot
useradd --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin nonroot
