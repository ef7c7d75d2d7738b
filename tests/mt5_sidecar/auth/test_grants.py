# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
import websockets
from sidecar_rig import KEY, OWN, Rig, api_key, closed, key_record

from mt5_sidecar.api.operations import OPERATIONS
from mt5_sidecar.api.requests.operation import Operation
from mt5_sidecar.auth import access
from mt5_sidecar.auth.principal import Scope

PAST, FUTURE = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
CLOSED = [operation for operation in OPERATIONS if operation.scope is not None]
ALL_SCOPES = [scope.value for scope in Scope]

STRANGERS = {
    "of another account": key_record("other", accounts=["10002"], scopes=ALL_SCOPES),
    "of no account": key_record("none", accounts=[], scopes=ALL_SCOPES),
    "without scopes": key_record("idle", accounts=["*"], scopes=[]),
    "expired": key_record("old", accounts=["*"], scopes=ALL_SCOPES, expires=PAST),
    "of a longer account": key_record("long", accounts=["100011"], scopes=ALL_SCOPES),
}


def paths(operation: Operation) -> list[str]:
    filled = {"{symbol}": "EURUSD", "{ticket}": "1", "{key}": "k"}
    every = [operation.path, *operation.aliases]
    for name, value in filled.items():
        every = [path.replace(name, value) for path in every]
    return every


def upgrade(operation: Operation) -> dict[str, str]:
    if not operation.websocket:
        return {}
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_no_operation_and_no_alias_answers_a_stranger(bridge: Rig, stranger: str) -> None:
    record = STRANGERS[stranger]
    bridge.put_keys([OWN, record])
    bridge.put_account(enabled=True)
    bridge.look()

    for operation in CLOSED:
        for path in paths(operation):
            key = api_key(record["id"])
            headers = upgrade(operation)
            answer = await bridge.request(operation.method, path, key=key, headers=headers)
            assert answer.status in (401, 403), (operation.method, path)


FORGED = {
    "nothing": "",
    "unknown": api_key("unknown"),
    "known id, other secret": "mt5_own_" + "A" * 43,
    "known key, one more character": KEY + "A",
    "known key, a line end": KEY + "%0A",
    "the hash itself": OWN["sha256"],
    "no key at all": "password",
    "not ascii": "mt5_own_ä",
}


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
async def test_no_operation_answers_a_forged_key(bridge: Rig, forged: str, header: str) -> None:
    value = FORGED[forged] if header == "X-API-Key" else f"Bearer {FORGED[forged]}"

    for operation in CLOSED:
        headers = upgrade(operation) | {header: value}
        path = paths(operation)[0]
        answer = await bridge.request(operation.method, path, key=None, headers=headers)
        assert (answer.status, answer.problem) == (401, "/problems/unauthenticated"), path


async def test_only_what_says_nothing_of_the_account_is_open(bridge: Rig) -> None:
    open_paths = {path for o in OPERATIONS if o.scope is None for path in paths(o)}

    assert open_paths == {"/api/health", "/health", "/openapi.json", "/asyncapi.json"}
    for path in open_paths:
        body = (await bridge.get(path, key=None)).body
        assert b"10001" not in body
        assert b"Simulator" not in body


@pytest.mark.parametrize("header", ["X-API-Key", "Bearer", "bearer"])
async def test_a_good_key_opens_by_either_header(bridge: Rig, header: str) -> None:
    headers = {header: KEY} if header == "X-API-Key" else {"Authorization": f"{header} {KEY}"}

    assert (await bridge.get("/api/account", key=None, headers=headers)).status == 200


@pytest.mark.parametrize(
    ("scope", "status"), [("read", 200), ("trade", 403), ("resolve", 403), ("admin", 403)]
)
async def test_scopes_do_not_contain_each_other(bridge: Rig, scope: str, status: int) -> None:
    bridge.put_keys([key_record("k", accounts=["10001"], scopes=[scope])])
    bridge.look()

    assert (await bridge.get("/api/account", key=api_key("k"))).status == status


async def test_without_a_key_table_nobody_is_let_in(bridge: Rig) -> None:
    (bridge.folder / "access/keys.json").unlink()
    bridge.look()

    answer = await bridge.get("/api/account")

    assert (answer.status, answer.problem) == (503, "/problems/access-unavailable")


@pytest.mark.parametrize("broken", [b"", b"[]", b"{", b"\xff", b'{"keys":7}'])
async def test_a_withdrawn_key_does_not_live_on_in_a_table_that_became_unreadable(
    bridge: Rig, broken: bytes
) -> None:
    bridge.put("access/keys.json", broken)
    bridge.look()

    answer = await bridge.get("/api/account")

    assert (answer.status, answer.problem) == (503, "/problems/access-unavailable")


async def test_a_new_key_opens_and_a_withdrawn_one_closes_without_a_restart(bridge: Rig) -> None:
    assert (await bridge.get("/api/account")).status == 200
    bridge.put_keys([key_record("new", accounts=["10001"], scopes=["read"])])
    bridge.look()

    assert (await bridge.get("/api/account", key=api_key("new"))).status == 200
    assert (await bridge.get("/api/account")).status == 401


REPLACED = OWN | {"sha256": hashlib.sha256(b"another secret").hexdigest()}
ENDINGS = {
    "withdrawn": ([], 4401),
    "expired": ([OWN | {"expires": PAST}], 4401),
    "replaced by another secret": ([REPLACED], 4401),
    "moved to another account": ([OWN | {"accounts": ["10002"]}], 4403),
    "without the scope": ([OWN | {"scopes": ["trade"]}], 4403),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_an_open_stream_is_closed_when_its_grant_ends(bridge: Rig, ending: str) -> None:
    keys, code = ENDINGS[ending]
    socket = await bridge.ws()

    bridge.put_keys(keys)
    bridge.look()

    assert (await closed(socket))[0] == code


async def test_a_key_that_expires_between_two_looks_opens_nothing_more(bridge: Rig) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    bridge.put_keys([OWN | {"expires": ends.isoformat()}])
    bridge.look()
    assert [(await bridge.get("/api/account")).status for _ in range(2)] == [200, 200]

    bridge.context.access.clock = lambda: ends

    assert (await bridge.get("/api/account")).status == 401


async def test_who_was_let_in_is_asked_again_after_each_look(bridge: Rig) -> None:
    await bridge.get("/api/account")
    remembered = bridge.context.access.recent(KEY)

    bridge.look()

    assert remembered is not None
    assert bridge.context.access.recent(KEY) is None


async def test_the_memory_of_who_was_let_in_is_bounded(
    bridge: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "MOST_RECENT", 1)
    bridge.put_keys([OWN, key_record("other", accounts=["10001"], scopes=["read"])])
    bridge.look()

    answers = [await bridge.get("/api/account", key=key) for key in (KEY, api_key("other"))]

    assert [answer.status for answer in answers] == [200, 200]
    assert len(bridge.context.access._recent) == 1


async def test_an_open_stream_stays_when_only_other_keys_change(bridge: Rig) -> None:
    socket = await bridge.ws()
    bridge.put_keys([OWN | {"expires": FUTURE}, STRANGERS["expired"]])
    bridge.look()

    await socket.send(json.dumps({"type": "heartbeat"}))

    while json.loads(await socket.recv())["type"] != "heartbeat_response":
        pass


@pytest.mark.parametrize("key", [None, api_key("unknown")])
async def test_a_stream_is_not_opened_without_a_key(bridge: Rig, key: str | None) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        await bridge.ws(key=key)

    assert refused.value.response.status_code == 401


async def test_a_reader_may_not_broadcast(bridge: Rig) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        await bridge.ws("/ws/broadcast")

    assert refused.value.response.status_code == 403


UNREADABLE = {
    "a date that is none": key_record("bad", accounts=["*"], scopes=["read"], expires="20270101T0"),
    "no object": "bad",
    "a hash that is a number": key_record("bad", accounts=["*"], scopes=["read"]) | {"sha256": 7},
}


@pytest.mark.parametrize("entry", UNREADABLE)
async def test_an_unreadable_entry_opens_nothing_and_spoils_no_other(
    bridge: Rig, entry: str
) -> None:
    bridge.put("access/keys.json", json.dumps({"version": 1, "keys": [UNREADABLE[entry], OWN]}))
    bridge.look()

    assert (await bridge.get("/api/account")).status == 200
    assert (await bridge.get("/api/account", key=api_key("bad"))).status == 401
    assert b"mt5_sidecar_access_unreadable 1.0" in (await bridge.ops("/metrics")).body
