#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make the Windows sidecar's tree: sidecar.sh PYTHON LOCK TARGET, from an unpacked Windows Python.
set -eu
python="$1" lock="$2" target="$3"

mkdir -p "$target/lib"
cp -r "$python" "$target/python"
rm -rf "$target/python/site-packages"

# pip reads markers for the Python that runs it, which is Linux's: leave out by hand what Windows has not.
awk '/^[A-Za-z0-9]/ { skip = /^uvloop==/ } !skip' "$lock" >"$lock.windows"
pip install -q --no-deps --no-compile --require-hashes --only-binary=:all: \
    --platform win_amd64 --python-version 311 \
    --target "$target/python/site-packages" -r "$lock.windows"
