# SPDX-License-Identifier: Apache-2.0
"""R7: nobody reaches an account by another account's key, or by a token that is none of ours.

The operations come from the document that the sidecar serves: a new one is covered by itself.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import operator_caller
import pytest
import websockets
from issuer import FORGED, OURS, jwks, token
from sidecar_rig import Rig, api_key, closed, eventually, heard, key_record

from mt5_sidecar.api.operations import OPERATIONS
from mt5_sidecar.housekeeping import Housekeeping
from mt5_sidecar.streams.codes import Close

OTHER: Final = "10002"
SCOPES: Final = ["read", "trade", "resolve", "admin"]
# Neither a wildcard nor a part, prefix or other spelling of an account is that account.
NEARLY: Final = ["1000", "100010", " 10001", "10001 ", "010001", "10001,10002", "**", "", "1*"]
PARTS: Final = {"{ticket}": "7", "{symbol}": "EURUSD", "{key}": "k-1"}
BODY: Final = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.01"}
UPGRADE: Final = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}  # fmt: skip
REVOKED_WITHIN_S: Final = 5.0


class Caller(NamedTuple):
    """A way of asking, and what it must be answered with."""

    name: str
    headers: dict[str, str]
    status: int


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def strangers() -> list[Caller]:
    """Return everybody who may do nothing here."""
    all_scopes = {"mt5_scopes": SCOPES}
    ended = int(datetime.now(UTC).timestamp()) - 60
    tokens = {
        "of another account": (token(mt5_accounts=[OTHER], **all_scopes), 403),
        "of nearly this account": (token(mt5_accounts=NEARLY, **all_scopes), 403),
        "of no account": (token(mt5_accounts=None, **all_scopes), 403),
        "expired": (token(exp=ended, **all_scopes), 401),
        "for another audience": (token(aud="another", **all_scopes), 401),
        "of another issuer": (token(iss="https://another.example", **all_scopes), 401),
        "that never ends": (token(exp=None, **all_scopes), 401),
        "of the operator": (operator_caller.token(), 401),
        "cut": (token(**all_scopes)[:-2], 401),
    }
    tokens |= {name: (forged(), 401) for name, forged in FORGED.items()}
    good = api_key("mine")
    keys = {
        "of another account": (api_key("other"), 403),
        "of nearly this account": (api_key("nearly"), 403),
        "expired": (api_key("expired"), 401),
        "never given out": (api_key("unknown"), 401),
        "with another's secret": (good[:9] + api_key("other")[-43:], 401),
        "one character off": (good[:-1] + ("A" if good[-1] != "A" else "B"), 401),
        "with something after it": (f"{good}x", 401),
    }
    return [
        Caller("nobody", {}, 401),
        *(Caller(f"token {name}", bearer(made), code) for name, (made, code) in tokens.items()),
        *(Caller(f"key {name}", {"X-API-Key": made}, code) for name, (made, code) in keys.items()),
        *(Caller(f"key {name}, as token", bearer(made), c) for name, (made, c) in keys.items()),
    ]


@pytest.fixture
async def account(rig_with: Callable[..., Awaitable[Rig]], tmp_path: Path) -> Rig:
    """Account 10001, open and trading, with keys of its own and of account 10002."""
    path = tmp_path / "jwks.json"
    path.write_text(jwks("one"))
    rig = await rig_with(**OURS, jwt_jwks_file=path, key_requests_per_s=0, account_requests_per_s=0)
    await rig.trades()
    rig.put("access/operator.jwks.json", operator_caller.jwks())
    rig.put_keys(
        [
            key_record("mine", accounts=["10001"], scopes=SCOPES),
            key_record("other", accounts=[OTHER], scopes=SCOPES),
            key_record("nearly", accounts=NEARLY, scopes=SCOPES),
            key_record("expired", accounts=["*"], scopes=SCOPES, expires="2020-01-01T00:00:00Z"),
        ]
    )
    rig.look()
    return rig


async def operations(rig: Rig) -> list[tuple[str, str, bool]]:
    """Return method, path and whether it is a stream, of all that is not open to everybody."""
    document = (await rig.get("/openapi.json", key=None)).json
    found = [
        (method.upper(), path, "101" in operation["responses"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["security"]
    ]
    also = {(o.method, o.path): o.aliases for o in OPERATIONS}
    return found + [(m, alias, ws) for m, path, ws in found for alias in also[m, path]]


async def asked(rig: Rig, method: str, path: str, *, stream: bool, headers: dict[str, str]) -> int:
    for name, value in PARTS.items():
        path = path.replace(name, value)
    upgrade = UPGRADE if stream else {}
    body = None if method == "GET" else BODY | {"client_order_id": "k-2"}
    answer = await rig.request(method, path, key=None, headers=headers | upgrade, json=body)
    return answer.status


async def test_no_stranger_gets_anything_from_any_operation(account: Rig) -> None:
    everything = await operations(account)
    assert len(everything) > len(OPERATIONS)
    events = len(account.context.board.events)

    opened = [
        (caller.name, method, path, status)
        for caller in strangers()
        for method, path, stream in everything
        if (status := await asked(account, method, path, stream=stream, headers=caller.headers))
        != caller.status
    ]

    assert opened == []
    assert len(account.context.board.events) == events
    assert len(account.context.sockets) == 0


async def test_the_accounts_own_key_and_token_open_what_the_strangers_could_not(
    account: Rig,
) -> None:
    own = [{"X-API-Key": api_key("mine")}, bearer(token(mt5_scopes=SCOPES))]

    for method, path, stream in await operations(account):
        if stream:
            continue
        for headers in own:
            status = await asked(account, method, path, stream=False, headers=headers)
            assert status not in (401, 403), (method, path)
    for path in ("/ws", "/ws/status", "/ws/broadcast"):
        await heard(await account.ws(path, key=api_key("mine")), "welcome")


async def test_a_key_of_two_accounts_reaches_here_only_this_one(account: Rig) -> None:
    headers = {"X-API-Key": api_key("mine"), "X-MT5-Account-Id": OTHER}

    for method, path, stream in await operations(account):
        assert await asked(account, method, path, stream=stream, headers=headers) == 421
        named = f"{path}?account_id={OTHER}"
        own = {"X-API-Key": api_key("mine")}
        assert await asked(account, method, named, stream=stream, headers=own) == 421


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_scope_opens_no_operation_of_another(account: Rig, scope: str) -> None:
    account.put_keys([key_record("scoped", accounts=["*"], scopes=[scope])])
    account.look()
    headers = {"X-API-Key": api_key("scoped")}

    for operation in OPERATIONS:
        if operation.scope is None or operation.scope.value == scope:
            continue
        where = (operation.method, operation.path)
        assert await asked(account, *where, stream=operation.websocket, headers=headers) == 403


async def test_what_is_not_routed_is_open_to_the_operator_alone(account: Rig) -> None:
    calls = [("GET", ""), ("POST", "/fence"), ("POST", "/activate"), ("GET", "/journal"),
             ("PUT", "/journal")]  # fmt: skip
    port = account.sidecar.ops_port
    own = Caller("own key", {"X-API-Key": api_key("mine")}, 401)
    callers = [c for c in strangers() if c.name != "token of the operator"]

    for caller in [*callers, own]:
        for method, path in calls:
            answer = await account.request(
                method, f"/internal/orders{path}", key=None, headers=caller.headers, port=port
            )
            assert answer.status == 401, (caller.name, method, path)
    good = bearer(operator_caller.token())
    answer = await account.request("GET", "/internal/orders", key=None, headers=good, port=port)
    assert answer.status == 200


class Time:
    """Seconds that pass when housekeeping sleeps."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self._began = datetime.now(UTC)

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self.passed_s)

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        await asyncio.sleep(0.001)


async def closes(rig: Rig, time: Time, socket: Any) -> int:
    """Let housekeeping run as it does in a pod, until the stream is closed; return the code."""
    # The rig's own looks on demand only: what a pod would wait is a default of the settings.
    default_s = type(rig.settings).model_fields["file_poll_interval_s"].default
    keeper = Housekeeping(rig.context, sleep=lambda _: time.sleep(default_s))
    running = asyncio.create_task(keeper.run())
    code, _ = await closed(socket, timeout_s=20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return code


@pytest.mark.parametrize("path", ["/ws", "/ws/status", "/ws/broadcast"])
@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], Close.UNAUTHENTICATED),
        ([key_record("mine", accounts=[OTHER], scopes=SCOPES)], Close.FORBIDDEN),
        ([key_record("mine", accounts=["10001"], scopes=["trade"])], Close.FORBIDDEN),
        ([key_record("mine", accounts=["*"], scopes=SCOPES) | {"sha256": "0" * 64}],
         Close.UNAUTHENTICATED),
    ],
)  # fmt: skip
async def test_a_withdrawn_grant_ends_its_streams_within_seconds(
    account: Rig, path: str, records: list[dict[str, Any]], code: int
) -> None:
    socket = await account.ws(path, key=api_key("mine"))
    await heard(socket, "welcome")
    time = Time()
    account.put_keys(records)

    assert await closes(account, time, socket) == code
    assert time.passed_s <= REVOKED_WITHIN_S
    with pytest.raises(websockets.exceptions.InvalidStatus):
        await account.ws(path, key=api_key("mine"))


async def test_a_stream_ends_when_its_token_or_key_does_and_not_before(account: Rig) -> None:
    lives_s, leeway_s = 300, 5
    ends = datetime.now(UTC) + timedelta(seconds=lives_s)
    records = [
        key_record("mine", accounts=["10001"], scopes=SCOPES, expires=f"{ends:%Y-%m-%dT%H:%M:%SZ}")
    ]
    account.put_keys(records)
    account.look()
    for presented in ({"key": api_key("mine")}, {"key": None, "bearer": token(mt5_scopes=SCOPES)}):
        time = Time()
        account.context.access.clock = time.now
        socket = await account.ws(**presented)
        await heard(socket, "welcome")

        assert await closes(account, time, socket) == Close.UNAUTHENTICATED

        assert lives_s - 2 <= time.passed_s <= lives_s + leeway_s + REVOKED_WITHIN_S


async def test_a_withdrawn_signing_key_ends_the_streams_of_its_tokens(account: Rig) -> None:
    socket = await account.ws(key=None, bearer=token(mt5_scopes=SCOPES))
    await heard(socket, "welcome")
    time = Time()
    account.put("jwks.json", json.dumps({"keys": []}))

    assert await closes(account, time, socket) == Close.UNAUTHENTICATED
    assert time.passed_s <= REVOKED_WITHIN_S
    await eventually(lambda: len(account.context.sockets) == 0)
