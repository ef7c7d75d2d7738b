# SPDX-License-Identifier: Apache-2.0
"""docs/router.md has every problem, metric and setting of the router, and no other."""

from __future__ import annotations

import re

from cluster.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "router.md").read_text()
ROUTER = REPOSITORY / "images" / "router"
LUA = "\n".join(file.read_text() for file in sorted((ROUTER / "lua").glob("*.lua")))
ENTRYPOINT = (ROUTER / "entrypoint.sh").read_text()
# Given by the chart alone, and named in one sentence below the table.
BY_THE_CHART = {"PORT", "OPS_PORT", "RUN_DIR", "REDIS_CA_FILE", "CONFIGMAP_SHARDS"}


def _section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_problem_is_documented_with_its_status_and_no_other() -> None:
    sent = set(re.findall(r'(?:send\(|begin\(|= \{ )(\d{3}), "([a-z-]+)"', LUA))
    rows = re.findall(r"^\| (`[a-z-]+` \d{3}.*?) \|", _section("What its problems mean"), re.M)

    documented = {
        (status, slug) for row in rows for slug, status in re.findall(r"`([a-z-]+)` (\d{3})", row)
    }

    assert len(sent) > 15
    assert documented == sent


def test_every_metric_is_documented_and_no_other() -> None:
    told = set(re.findall(r"\bmt5_router_\w+", LUA))
    rows = re.findall(r"^\| (.*?) \|", _section("Operations"), re.MULTILINE)

    documented = {name for row in rows for name in re.findall(r"\bmt5_router_\w+", row)}

    assert documented == told


def test_every_setting_is_documented_with_its_default_and_no_other() -> None:
    shell = re.findall(r"^(?:number|word) (\w+) (\S+)", ENTRYPOINT, re.MULTILINE)
    lua = re.findall(r'number\("(\w+)", (\d+)\)', LUA)
    defaults = {name: default.strip("'") for name, default in [*shell, *lua]}

    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (\S+) \|", _section("Settings"), re.MULTILINE))

    assert len(defaults) > 25
    assert rows.pop("INSTALLATION") == "-"
    assert rows == {
        name: default or "none" for name, default in defaults.items() if name not in BY_THE_CHART
    }
