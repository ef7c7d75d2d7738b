# SPDX-License-Identifier: Apache-2.0
"""Secrets are read by single GETs: at once by who needs one, else one by one, evenly spread."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from mt5_operator.cluster.kinds import SECRET, Kind
from mt5_operator.errors import ApiUnavailable, NotFound
from mt5_operator.names import Key
from mt5_operator.reconcile.context.secrets import Secrets, SecretSeen
from mt5_operator.settings import Settings
from mt5_operator.spec.account import SecretKey

REREAD_S = 600
EVER = float("inf")


class Server:
    """An API server with Secrets, which counts who was asked for."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.asked: list[str] = []
        self.broken: set[str] = set()
        self.slow: dict[int, asyncio.Event] = {}

    async def get(self, kind: Kind, key: Key) -> dict[str, Any]:
        assert kind is SECRET
        self.asked.append(key.name)
        version = self.versions.get(key.name)
        if gate := self.slow.get(len(self.asked)):
            await gate.wait()
        if key.name in self.broken:
            raise ApiUnavailable("500: cannot be decrypted")
        if version is None:
            raise NotFound(404, "NotFound", key.name)
        data = {"password": base64.b64encode(b"x").decode()}
        return {"metadata": {"resourceVersion": str(version)}, "data": data}


class Desk:
    """The operator's looks at Secrets, and which accounts were told of news."""

    def __init__(self, **settings: Any) -> None:
        self.server, self.seconds, self.news = Server(), 1000.0, list[str]()
        api: Any = self.server
        self.secrets = Secrets(
            api,
            Settings(secret_reread_s=REREAD_S, **settings),
            news=lambda key: self.news.append(key.name),
            clock=lambda: self.seconds,
        )

    async def look(self, account: str, secret: str = "", *, max_age_s: float = EVER) -> SecretSeen:
        return await self.secrets.look(
            Key("ns", account),
            SecretKey(name=secret or account),
            max_age_s=max_age_s,
            problem_age_s=min(max_age_s, 1.5),
        )

    async def pass_s(self, seconds: int) -> None:
        """Let time pass as a leader does: with a look each second."""
        for _ in range(seconds):
            self.seconds += 1
            await self.secrets.reread()


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_who_is_well_waits_for_no_secret_however_often_it_is_looked_at(desk: Desk) -> None:
    desk.server.versions["a"] = 1
    await desk.look("a")

    for _ in range(10):
        desk.seconds += REREAD_S
        await desk.look("a")

    assert desk.server.asked == ["a"]


async def test_every_secret_is_read_again_in_time_and_never_all_at_once(desk: Desk) -> None:
    names = [f"a{number}" for number in range(300)]
    desk.server.versions = dict.fromkeys(names, 1)
    for name in names:
        await desk.look(name)
    desk.server.asked.clear()

    crowds = []
    for _ in range(REREAD_S + 1):
        before = len(desk.server.asked)
        await desk.pass_s(1)
        crowds.append(len(desk.server.asked) - before)

    assert set(desk.server.asked) == set(names)
    assert max(crowds) < 15  # one a second, were they spread evenly
    assert desk.news == []


@pytest.mark.parametrize("after", [2, None], ids=["changed", "gone"])
async def test_every_account_of_a_secret_that_changed_is_told(
    desk: Desk, after: int | None
) -> None:
    desk.server.versions = {"shared": 1, "other": 1}
    for account, secret in (("a", "shared"), ("b", "shared"), ("c", "other")):
        await desk.look(account, secret)
    if after:
        desk.server.versions["shared"] = after
    else:
        del desk.server.versions["shared"]

    await desk.pass_s(REREAD_S)

    assert sorted(desk.news) == ["a", "b"]
    seen = await desk.look("a", "shared")
    assert (seen.version, bool(seen.problem)) == (str(after or ""), after is None)


async def test_what_one_account_in_trouble_finds_is_news_to_the_others(desk: Desk) -> None:
    desk.server.versions["shared"] = 1
    await desk.look("well", "shared")
    await desk.look("ill", "shared")
    desk.server.versions["shared"] = 2
    desk.seconds += 3

    assert (await desk.look("ill", "shared", max_age_s=1.5)).version == "2"

    assert desk.news == ["well"]


async def test_a_secret_that_cannot_be_read_keeps_nobody_from_the_others(desk: Desk) -> None:
    names = ["a", "b", "c"]
    desk.server.versions = dict.fromkeys(names, 1)
    for name in names:
        await desk.look(name)
    desk.server.broken = {"a"}
    desk.server.versions |= {"b": 2, "c": 2}
    desk.seconds += REREAD_S

    with pytest.raises(ApiUnavailable):
        await desk.secrets.reread()
    await desk.secrets.reread()

    assert desk.news == ["b", "c"]
    desk.server.broken, desk.server.versions["a"] = set(), 2
    await desk.pass_s(31)
    assert desk.news == ["b", "c", "a"]


@pytest.mark.parametrize(("given_s", "pause_s"), [(5, 5), (2 * REREAD_S, REREAD_S)])
async def test_a_secret_that_cannot_be_read_waits_as_long_as_is_set_and_no_longer_than_all_do(
    given_s: int, pause_s: int
) -> None:
    desk = Desk(secret_reread_retry_s=given_s)
    desk.server.versions = {"a": 1}
    await desk.look("a")
    desk.server.broken = {"a"}
    desk.seconds += REREAD_S
    with pytest.raises(ApiUnavailable):
        await desk.secrets.reread()
    asked = len(desk.server.asked)

    await desk.pass_s(pause_s - 1)

    assert len(desk.server.asked) == asked
    with pytest.raises(ApiUnavailable):
        await desk.pass_s(1)


async def test_a_forgotten_accounts_secret_is_read_no_more_unless_it_is_anothers(
    desk: Desk,
) -> None:
    desk.server.versions = {"own": 1, "shared": 1}
    await desk.look("a", "own")
    await desk.look("b", "shared")
    await desk.look("c", "shared")
    desk.server.asked.clear()

    desk.secrets.forget(Key("ns", "a"))
    desk.secrets.forget(Key("ns", "b"))
    await desk.pass_s(REREAD_S)

    assert set(desk.server.asked) == {"shared"}


async def test_another_secret_in_the_spec_is_read_at_once_and_the_old_one_no_more(
    desk: Desk,
) -> None:
    desk.server.versions = {"old": 1, "new": 5}
    await desk.look("a", "old")

    assert (await desk.look("a", "new")).version == "5"
    desk.server.asked.clear()
    await desk.pass_s(REREAD_S)

    assert set(desk.server.asked) == {"new"}


async def test_an_answer_that_was_overtaken_is_not_believed(desk: Desk) -> None:
    desk.server.versions["a"] = 1
    await desk.look("a")
    desk.server.slow[2] = asyncio.Event()
    desk.seconds += 10
    late = asyncio.create_task(desk.look("a", max_age_s=1.5))
    await asyncio.sleep(0)
    desk.server.versions["a"] = 2
    desk.seconds += 10
    await desk.look("a", max_age_s=1.5)

    desk.server.slow[2].set()

    assert (await late).version == "2"
    assert (await desk.look("a")).version == "2"
