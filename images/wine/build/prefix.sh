#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make the Wine prefix that every pod starts from: prefix.sh PREFIX. Runs as the user of the pods.
set -eu
export WINEPREFIX="$1" HOME=/tmp/home XDG_RUNTIME_DIR=/tmp/home WINEDEBUG=-all
# Without this, Wine asks in a window whether to download Mono and Gecko.
export WINEDLLOVERRIDES='mscoree,mshtml='
dlls=/usr/lib/x86_64-linux-gnu/wine/x86_64-windows

mkdir -p "$HOME"
# The 32-bit half is not there, which rundll32 says on stderr; what counts is the check below.
/usr/lib/wine/wine64 wineboot -i || true
# A program that crashes has ended: Wine's debugger would hold it, and print its memory into the log.
/usr/lib/wine/wine64 reg add 'HKLM\Software\Microsoft\Windows NT\CurrentVersion\AeDebug' /v Debugger /d none /f
# The registry's files are written when the server ends, not before.
/usr/lib/wine/wineserver64 -w
grep -q '^\[Software' "$WINEPREFIX/system.reg"
grep -q '^"Debugger"="none"' "$WINEPREFIX/system.reg"

# Otherwise a pod whose file times differ from this build's would update its prefix at each start.
echo disable >"$WINEPREFIX/.update-timestamp"

# Wine copies its DLLs into each prefix. A link to the one copy saves 230 MB, here and in each pod.
for copy in "$WINEPREFIX"/drive_c/windows/system32/*; do
    original="$dlls/${copy##*/}"
    if [ -f "$original" ] && cmp -s "$original" "$copy"; then
        ln -sf "$original" "$copy"
    fi
done

# The name of the server's socket directory, which each pod makes for itself.
rm -rf "/tmp/$(cat "$WINEPREFIX/wineserver")" "$WINEPREFIX/wineserver" "$HOME"
