#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Byte-compile what both Pythons import, whatever dates the files get; a pod's root is read-only.
set -eu
unset PYTHONDONTWRITEBYTECODE
python3 -m compileall -q --invalidation-mode unchecked-hash /opt/mt5/lib /opt/mt5/linux

# Windows Python writes .cpython-311.pyc beside them. Under root's own, short-lived prefix.
export HOME=/tmp/home WINEPREFIX=/tmp/home/prefix XDG_RUNTIME_DIR=/tmp/home WINEDEBUG=-all
mkdir -p "$HOME"
cp -a --no-preserve=ownership /opt/mt5/prefix "$WINEPREFIX"
# Wine's Python wants pipes, not files. Some of numpy's files are for other Pythons: no error.
/opt/mt5/bin/windows-python -m compileall -q --invalidation-mode unchecked-hash 'Z:\opt\mt5\lib' 'Z:\opt\mt5\python\site-packages' </dev/null 2>&1 | cat
/usr/lib/wine/wineserver64 -w
rm -rf "/tmp/$(cat "$WINEPREFIX/wineserver")" "$HOME"
test -n "$(find /opt/mt5/lib/mt5_agent -name '*.cpython-311.pyc' -print -quit)"
