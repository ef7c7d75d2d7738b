#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Resolve pyproject.toml into locks/*.txt: every package pinned and hashed, for every platform, and
# no index address. Each image installs one of these files; they agree, because the small ones are
# resolved under the constraints of the large one.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool" && "$tool/bin/pip" install --quiet uv

compile() { # OUTPUT, then further arguments
    "$tool/bin/uv" pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --python-version 3.11 "${@:2}" pyproject.toml --output-file "locks/$1.txt"
}

# All extras but `bench`: what we compare with is installed nowhere else.
compile dev --extra operator --extra sidecar --extra otel --extra agent --extra simulator --extra dev
grep -oE '^[A-Za-z0-9_.-]+==[^ ;\\]+' locks/dev.txt >"$tool/constraints.txt"
compile operator --extra operator --constraints "$tool/constraints.txt"
compile sidecar --extra sidecar --extra agent --extra simulator --constraints "$tool/constraints.txt"
compile sidecar-otel --extra sidecar --extra otel --extra agent --extra simulator \
    --constraints "$tool/constraints.txt"
compile bench --extra bench --constraints "$tool/constraints.txt"
