# SPDX-License-Identifier: Apache-2.0
"""API keys: made once, published filtered, and never shown twice."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mt5_operator import apikey
from mt5_operator.apikeys import ApiKey, published, read
from mt5_operator.desired.files import KEYS_FILE, access
from mt5_sidecar.auth.keys import KeyRecord, parse_keys


def data(**entries: object) -> dict[str, str]:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in entries.items()}
    return {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}


CREATE = ["create", "--namespaces", "team-a"]
GOOD = {"sha256": "a" * 64, "accounts": ["*"], "scopes": ["read"]}


def test_a_new_key_opens_what_it_was_made_for(capsys: pytest.CaptureFixture[str]) -> None:
    code = apikey.main(
        [*CREATE, "--id", "demo", "--accounts", "1,2", "--scopes", "read,trade", "--json"]
    )

    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert re.fullmatch(r"mt5_demo_[A-Za-z0-9_-]{43}", told["key"])
    keys, problems = read(data(demo=told["patch"]["stringData"]["demo"]))
    assert problems == {}
    assert keys[0].sha256 == hashlib.sha256(told["key"].encode()).hexdigest()
    assert keys[0].accounts == ["1", "2"]


@pytest.mark.parametrize(("asked", "bound"), [("a,b", ["a", "b"]), ("*", None)])
def test_a_key_says_whose_accounts_it_opens(
    asked: str, bound: list[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["create", "--id", "demo", "--accounts", "1", "--json"]

    with pytest.raises(SystemExit):
        apikey.main(words)
    capsys.readouterr()
    apikey.main([*words, "--namespaces", asked])

    told = json.loads(capsys.readouterr().out)["patch"]["stringData"]["demo"]
    assert json.loads(told).get("namespaces") == bound


def test_the_command_prints_how_to_make_the_key_valid(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in the operator's pod, where the chart's notes have it run.
    monkeypatch.setenv("MT5_OPERATOR_NAMESPACE", "mt5-system")

    apikey.main([*CREATE, "--id", "demo", "--accounts", "*"])

    out = capsys.readouterr().out
    create = out.index("kubectl create -n mt5-system secret generic mt5-bridge-api-keys")
    patch = out.index("kubectl patch -n mt5-system secret mt5-bridge-api-keys")
    assert create < patch
    assert out.count("mt5_demo_") == 1


@pytest.mark.parametrize(
    "flag",
    [
        ["--id", "Bad Id"],
        ["--scopes", "all"],
        ["--expires", "soon"],
        ["--expires", "2020-01-01T00:00:00Z"],
        ["--accounts", "it's"],
        ["--accounts", "10001 10002"],
        ["--namespaces", "*,team-a"],
        ["--namespaces", "Team_A"],
        ["--namespaces", ","],
    ],
)
def test_a_key_that_could_not_work_is_not_made(
    flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert apikey.main([*CREATE, "--id", "ok", "--accounts", "*", *flag]) == 2
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
        {**GOOD, "namespaces": []},
        {**GOOD, "namespaces": ["*"]},
        {**GOOD, "expires": "2027-01-01T00:00:00"},
        {**GOOD, "expires": "9999-12-31T23:59:59-23:59"},
        {**GOOD, "key": "mt5_x_y"},
        {**GOOD, "\ud800": 1},
        "[" * 100_000,
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


def sidecar_reads(keys: list[ApiKey]) -> dict[str, KeyRecord]:
    """Return what a sidecar makes of the table that is published; nothing may be unreadable."""
    entries = published(keys, namespace="ns", account_ids={"1", "2"})
    manifest = access("ns", keys=entries, jwks=[])
    unreadable: list[None] = []
    found = parse_keys(
        manifest["data"][KEYS_FILE].encode(), unreadable=lambda: unreadable.append(None)
    )
    assert unreadable == []
    return dict(found or {})


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-01T00:00:00Z",
        "2027-01-01T00:00+00:00",
        "20270101T000000Z",
        "2026-W53-5T00:00:00Z",
        "2027-01-01T00:00:00,0Z",
        "2027-01-01 02:00:00+02:00",
        "2026-12-31T23:59:30-00:00:30",
    ],
)
def test_any_iso_time_is_published_in_the_form_that_sidecars_read(text: str) -> None:
    keys, problems = read(data(timed=GOOD | {"expires": text}, good=GOOD))

    assert problems == {}
    found = sidecar_reads(keys)
    assert found["timed"].expires == datetime.fromisoformat("2027-01-01T00:00:00+00:00")


offsets = some.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
moments = some.datetimes(timezones=offsets)
written = some.one_of(
    moments.map(datetime.isoformat),
    moments.map(lambda m: m.strftime("%Y%m%dT%H%M%S%z")),
    moments.map(lambda m: f"{m.isocalendar().year:04}-W{m.isocalendar().week:02}T{m:%H:%M%z}"),
    moments.map(lambda m: m.isoformat().replace(".", ",")),
    some.text(alphabet="0123456789-+:.,TWZ ", max_size=32),
)
entries = some.fixed_dictionaries(
    {
        "sha256": some.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        "accounts": some.lists(some.sampled_from(["*", "1", "2", "3"]) | some.text(), max_size=3),
        "scopes": some.lists(
            some.sampled_from(["read", "trade", "resolve", "admin", "root"]), max_size=3
        ),
    },
    optional={"expires": written | some.none() | some.integers(), "namespaces": some.just(["ns"])},
)
names = some.from_regex(r"[a-z0-9]{1,4}", fullmatch=True)


@given(some.dictionaries(names, entries, max_size=4))
def test_whatever_is_published_a_sidecar_reads(table: dict[str, Any]) -> None:
    keys, problems = read(data(**{**table, "good": GOOD}))

    found = sidecar_reads(keys)

    assert set(problems) == (set(table) | {"good"}) - {key.id for key in keys}
    assert "good" in found
