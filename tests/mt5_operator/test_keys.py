# SPDX-License-Identifier: Apache-2.0
"""API keys: made once, published filtered, and never shown twice."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from mt5_operator import apikey
from mt5_operator.apikeys import published, read


def data(**entries: object) -> dict[str, str]:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in entries.items()}
    return {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}


GOOD = {"sha256": "a" * 64, "accounts": ["*"], "scopes": ["read"]}


def test_a_new_key_opens_what_it_was_made_for(capsys: pytest.CaptureFixture[str]) -> None:
    code = apikey.main(
        ["create", "--id", "demo", "--accounts", "1,2", "--scopes", "read,trade", "--json"]
    )

    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert re.fullmatch(r"mt5_demo_[A-Za-z0-9_-]{43}", told["key"])
    keys, problems = read(data(demo=told["patch"]["stringData"]["demo"]))
    assert problems == {}
    assert keys[0].sha256 == hashlib.sha256(told["key"].encode()).hexdigest()
    assert keys[0].accounts == ["1", "2"]


def test_the_command_prints_how_to_make_the_key_valid(capsys: pytest.CaptureFixture[str]) -> None:
    apikey.main(["create", "--id", "demo", "--accounts", "*"])

    out = capsys.readouterr().out
    assert "kubectl patch -n mt5-bridge secret mt5-bridge-api-keys" in out
    assert out.count("mt5_demo_") == 1


@pytest.mark.parametrize("flag", [["--id", "Bad Id"], ["--scopes", "all"], ["--expires", "soon"]])
def test_a_key_that_could_not_work_is_not_made(
    flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert apikey.main(["create", "--id", "ok", "--accounts", "*", *flag]) == 2
    assert "mt5_" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "entry",
    [
        "not json",
        [1],
        {**GOOD, "id": "x"},
        {**GOOD, "sha256": "abc"},
        {**GOOD, "scopes": ["root"]},
        {**GOOD, "accounts": []},
        {**GOOD, "expires": "2027-01-01T00:00:00"},
        {**GOOD, "key": "mt5_x_y"},
    ],
)
def test_an_entry_that_cannot_be_used_is_reported_and_the_others_work(entry: object) -> None:
    keys, problems = read(data(good=GOOD, bad=entry))

    assert [key.id for key in keys] == ["good"]
    assert list(problems) == ["bad"]
    assert "mt5_x_y" not in problems["bad"]


def test_a_namespace_learns_only_of_keys_that_open_something_there() -> None:
    keys, _ = read(
        data(
            all=GOOD,
            mine=GOOD | {"accounts": ["1", "2"]},
            other=GOOD | {"accounts": ["3"]},
            elsewhere=GOOD | {"namespaces": ["x"]},
        )
    )

    found = published(keys, namespace="ns", account_ids={"1"})

    assert [(entry["id"], entry["accounts"]) for entry in found] == [
        ("all", ["*"]),
        ("mine", ["1"]),
    ]
    assert set(found[0]) == {"id", "sha256", "accounts", "scopes", "expires"}
