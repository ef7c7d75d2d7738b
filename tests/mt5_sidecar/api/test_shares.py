# SPDX-License-Identifier: Apache-2.0
"""One key takes much of an account's streams and symbols, and never shuts the other keys out."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import websockets
from account_records import symbol_info
from sidecar_rig import OWN, Rig, api_key, eventually, heard, key_record
from structlog.testing import capture_logs

from mt5_sidecar.api.limits.shares import demand_share
from mt5_sidecar.errors import TooManySockets
from mt5_sidecar.settings_model import Settings

RigWith = Callable[..., Awaitable[Rig]]
OTHERS = [key_record(f"o{n}", accounts=["10001"], scopes=["read"]) for n in range(5)]


async def refused(rig: Rig, path: str = "/ws", **options: Any) -> dict[str, Any]:
    with pytest.raises(websockets.exceptions.InvalidStatus) as found:
        await rig.ws(path, **options)
    assert found.value.response.status_code == 503
    return dict(json.loads(found.value.response.body))


def with_others(rig: Rig) -> None:
    rig.put_keys([OWN, *OTHERS])
    rig.look()


def test_as_shipped_a_key_that_is_alone_has_a_hundred_streams() -> None:
    settings = Settings(account_id="10001", login=1, server="Simulator-Demo")
    most = settings.ws_max_sockets

    demand_share(settings, TooManySockets, "sockets", most=most, all_keys=100, this_key=100)
    with pytest.raises(TooManySockets):
        demand_share(settings, TooManySockets, "sockets", most=most, all_keys=101, this_key=101)
    for others in range(5):
        demand_share(
            settings, TooManySockets, "sockets", most=most, all_keys=105 + 5 * others, this_key=5
        )


async def test_streams_of_one_key_leave_places_to_the_others(rig_with: RigWith) -> None:
    rig = await rig_with(ws_max_sockets=10, kept_ratio=0.4, kept_keys=2)
    with_others(rig)
    mine = [await rig.ws() for _ in range(6)]

    with capture_logs() as lines:
        problem = await refused(rig)
    theirs = [await rig.ws(key=api_key(name)) for name in ("o0", "o0", "o1", "o1")]
    full = await refused(rig, key=api_key("o2"))
    await mine[0].close()
    await eventually(lambda: len(rig.context.sockets) == 9)
    still = await refused(rig)

    assert problem["type"] == still["type"] == "/problems/too-many-sockets"
    assert (problem["limit"], problem["allowed"]) == ("key_sockets", 2)
    assert len(theirs) == 4
    assert (full["limit"], full["allowed"]) == ("sockets", 10)
    [line] = [line for line in lines if line["event"] == "refused"]
    assert (line["subject"], line["limit"]) == ("key:own", "key_sockets")


async def test_who_closes_its_streams_is_no_longer_counted(rig_with: RigWith) -> None:
    rig = await rig_with(ws_max_sockets=2, kept_ratio=0.5, kept_keys=1)

    for _ in range(3):
        socket = await rig.ws()
        await socket.close()
        await eventually(lambda: not rig.context.sockets.taken)


async def test_watched_symbols_of_one_key_leave_room_to_the_others(rig_with: RigWith) -> None:
    rig = await rig_with(ws_max_watched_symbols=5, kept_ratio=0.4, kept_keys=2)
    await rig.connected()
    with_others(rig)
    rig.agent.symbols |= {name: symbol_info(name) for name in ("A", "B", "C", "D", "E", "F")}
    await heard(await rig.ws("/ws?symbols=A,B"), "welcome")
    # Two streams of a key are one key's, and what is watched for the account is nobody's.
    await heard(await rig.ws("/ws?symbols=B,C,EURUSD"), "welcome")

    mine = await refused(rig, "/ws?symbols=D")
    first = await rig.ws("/ws?symbols=D", key=api_key("o0"))
    greedy = await refused(rig, "/ws?symbols=E,F", key=api_key("o1"))
    second = await rig.ws("/ws?symbols=E", key=api_key("o1"))
    full = await refused(rig, "/ws?symbols=F", key=api_key("o2"))
    same = await rig.ws("/ws?symbols=A,B,C,D,E")

    assert (mine["limit"], mine["allowed"]) == ("key_watched_symbols", 1)
    assert (greedy["limit"], full["limit"]) == ("watched_symbols", "watched_symbols")
    for socket in (first, second, same):
        await heard(socket, "welcome")


async def test_selected_symbols_of_one_key_leave_room_to_the_others(rig_with: RigWith) -> None:
    rig = await rig_with(selected_symbols=5, kept_ratio=0.4, kept_keys=2)
    agent = await rig.connected()
    with_others(rig)
    agent.symbols |= {name: symbol_info(name) for name in ("A", "B", "C", "D", "E", "F")}

    good = [await rig.get(f"/api/ticks?symbols={name}") for name in "ABC"]
    bad = [
        await rig.get(path)
        for path in ("/api/ticks?symbols=D", "/api/rates?symbol=D", "/api/ticks?symbols=A,D")
    ]
    theirs = [
        await rig.get("/api/ticks?symbols=A,D", key=api_key("o0")),
        await rig.get("/api/rates?symbol=E", key=api_key("o1")),
    ]
    full = await rig.get("/api/ticks?symbols=F", key=api_key("o2"))

    assert {answer.status for answer in (*good, *theirs)} == {200}
    assert {(answer.status, answer.json["limit"]) for answer in bad} == {
        (503, "key_selected_symbols")
    }
    assert full.json["limit"] == "selected_symbols"
