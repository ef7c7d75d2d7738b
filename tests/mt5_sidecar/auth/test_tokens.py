# SPDX-License-Identifier: Apache-2.0
"""JWTs: taken with the grants that they carry, and only those of our issuer for us."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import structlog
from aiohttp import web
from issuer import FORGED, ISSUER, OURS, SECRET, claims, jwks, token, unsigned
from pydantic import ValidationError
from sidecar_rig import KEY, Rig, closed, eventually, heard
from structlog.testing import capture_logs

from mt5_sidecar.logs import configure_logs

RigWith = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def rig(rig_with: RigWith, tmp_path: Any) -> Rig:
    """A connected sidecar that takes tokens signed by key `one`."""
    path = tmp_path / "jwks.json"
    path.write_text(jwks("one"))
    made = await rig_with(**OURS, jwt_jwks_file=path)
    await made.connected()
    return made


async def status(rig: Rig, presented: str, path: str = "/api/account") -> int:
    return (await rig.get(path, key=None, headers=bearer(presented))).status


def bearer(presented: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {presented}"}


async def test_a_token_of_our_issuer_is_taken_and_api_keys_still_are(rig: Rig) -> None:
    assert await status(rig, token()) == 200
    assert await status(rig, KEY) == 200


@pytest.mark.parametrize("kind", ["key", "token"])
async def test_who_calls_is_known_within_200_ms(rig: Rig, kind: str) -> None:
    took_s = []
    for number in range(21):
        presented = KEY if kind == "key" else token(sub=f"user-{number}")  # none is remembered
        began_s = time.perf_counter()
        await rig.context.access.identified(presented)
        took_s.append(time.perf_counter() - began_s)

    assert sorted(took_s)[10] < 0.2


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"mt5_accounts": "10001 10002"}, 200),
        ({"mt5_accounts": "*", "mt5_scopes": "trade,read"}, 200),
        ({"mt5_accounts": [10001]}, 200),
        ({"mt5_accounts": ["100011"]}, 403),
        ({"mt5_accounts": {"10001": True}}, 403),
        ({"mt5_accounts": None}, 403),
        ({"mt5_scopes": ["trade", "admin"]}, 403),
        ({"mt5_scopes": None}, 403),
        ({"exp": int(time.time()) - 60}, 401),
        ({"exp": None}, 401),
        # Milliseconds, a number that no clock reaches, and text.
        ({"exp": int(time.time()) * 1000}, 401),
        ({"exp": 10**30}, 401),
        ({"exp": "4102444800"}, 401),
        ({"sub": "half of a \ud800"}, 200),
        ({"nbf": int(time.time()) + 86_400}, 401),
        ({"iss": "https://other.example"}, 401),
        ({"iss": None}, 401),
        ({"aud": "another-service"}, 401),
        ({"aud": None}, 401),
        ({"sub": None}, 401),
    ],
)
async def test_claims_are_grants_and_what_is_not_for_us_is_nothing(
    rig: Rig, changed: dict[str, Any], expected: int
) -> None:
    assert await status(rig, token(**changed)) == expected


@pytest.mark.parametrize(
    ("leeway_s", "changed", "expected"),
    [
        (0, {"exp": -2}, 401),
        (60, {"exp": -30}, 200),
        (60, {"nbf": 30}, 200),
        (60, {"iat": 30}, 200),
        (60, {"exp": -90}, 401),
    ],
)
async def test_clocks_may_differ_by_as_much_as_is_set(
    rig_with: RigWith, tmp_path: Any, leeway_s: int, changed: dict[str, int], expected: int
) -> None:
    (tmp_path / "jwks.json").write_text(jwks("one"))
    rig = await rig_with(**OURS, jwt_jwks_file=tmp_path / "jwks.json", jwt_leeway_s=leeway_s)
    await rig.connected()
    now_s = int(time.time())

    presented = token(**{claim: now_s + by_s for claim, by_s in changed.items()})

    # The second is answered by what is remembered of the first.
    assert [await status(rig, presented) for _ in range(2)] == [expected] * 2


async def test_a_stream_lives_as_long_as_its_token_is_taken(
    rig_with: RigWith, tmp_path: Any
) -> None:
    (tmp_path / "jwks.json").write_text(jwks("one"))
    rig = await rig_with(**OURS, jwt_jwks_file=tmp_path / "jwks.json", jwt_leeway_s=60)
    await rig.connected()
    await listen(rig, token(exp=int(time.time()) - 30))

    rig.look()

    (socket,) = rig.context.sockets
    assert not socket.client.closed


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_token_opens_nothing(rig: Rig, forged: str) -> None:
    answer = await rig.get("/api/account", key=None, headers=bearer(FORGED[forged]()))

    assert (answer.status, answer.problem) == (401, "/problems/unauthenticated")
    assert answer.json["detail"] in (
        "the token is not one of our issuer's for this API",
        "the token's signing key is not known",
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"exp": int(time.time()) - 60}, "expired"),
        ({"nbf": int(time.time()) + 86_400}, "not valid yet"),
        ({"iat": int(time.time()) + 86_400}, "not valid yet"),
        ({"aud": "another-service"}, "another audience"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"sub": None}, "lacks a claim"),
    ],
)
async def test_who_has_a_token_of_our_issuer_is_told_what_is_wrong_with_it(
    rig: Rig, changed: dict[str, Any], told: str
) -> None:
    answer = await rig.get("/api/account", key=None, headers=bearer(token(**changed)))
    forged = unsigned({"alg": "RS256", "kid": "one"}, **changed)
    stranger = await rig.get("/api/account", key=None, headers=bearer(forged))

    assert (answer.status, stranger.status) == (401, 401)
    assert told in answer.json["detail"]
    assert told not in stranger.json["detail"]


async def test_without_a_source_no_token_is_taken(rig_with: RigWith) -> None:
    rig = await rig_with()

    assert await status(rig, token()) == 401


async def test_a_rotated_file_takes_the_new_key_and_no_longer_the_old(rig: Rig) -> None:
    rig.put("jwks.json", jwks("two"))
    rig.look()

    assert await status(rig, token(kid="two")) == 200
    assert await status(rig, token(kid="one")) == 401


async def test_a_key_file_that_cannot_be_read_opens_nothing(rig: Rig) -> None:
    rig.put("jwks.json", "{")
    rig.look()

    assert await status(rig, token()) == 503


async def test_a_shared_secret_takes_only_its_own_algorithm(
    rig_with: RigWith, tmp_path: Any
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    rig = await rig_with(**OURS, jwt_secret_file=path)
    await rig.connected()

    assert await status(rig, jwt.encode(claims(), SECRET, "HS256")) == 200
    assert await status(rig, jwt.encode(claims(), b"another" * 6, "HS256")) == 401
    assert await status(rig, jwt.encode(claims(), SECRET + b"x" * 32, "HS512")) == 401
    assert await status(rig, token()) == 401


async def test_a_secret_that_is_too_short_is_none(rig_with: RigWith, tmp_path: Any) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    rig = await rig_with(**OURS, jwt_secret_file=tmp_path / "secret")

    assert await status(rig, jwt.encode(claims(), b"short".ljust(32), "HS256")) == 503


async def test_grants_may_be_within_another_claim(rig_with: RigWith, tmp_path: Any) -> None:
    (tmp_path / "jwks.json").write_text(jwks("one"))
    rig = await rig_with(
        **OURS,
        jwt_jwks_file=tmp_path / "jwks.json",
        jwt_accounts_claim="app_metadata.accounts",
        jwt_scopes_claim="app_metadata.scopes",
    )
    await rig.connected()
    granted = {"accounts": ["10001"], "scopes": ["read"]}

    assert await status(rig, token(app_metadata=granted)) == 200
    assert await status(rig, token()) == 403


async def test_a_stream_ends_with_its_token_or_with_the_key_that_signed_it(
    rig: Rig,
) -> None:
    short = await listen(rig, token(exp=int(time.time()) + 2, sub="short"))
    long = await listen(rig, token(sub="long"))
    for socket in rig.context.sockets:
        if socket.principal.subject == "jwt:short":
            object.__setattr__(socket.principal, "expires", datetime(2020, 1, 1, tzinfo=UTC))

    rig.look()
    assert (await closed(short))[0] == 4401
    rig.put("jwks.json", jwks("two"))
    rig.look()
    assert (await closed(long))[0] == 4401


class Issuer:
    """Publishes a key set over HTTP, and counts who asks."""

    def __init__(self) -> None:
        self.kids = ["one"]
        self.asked = 0
        self.status = 200
        self.answers = asyncio.Event()
        self.answers.set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        app = web.Application()
        app.router.add_get("/jwks", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/jwks"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        await self.answers.wait()
        return web.Response(text=jwks(*self.kids), status=self.status)


@pytest.fixture
async def issuer() -> Any:
    made = Issuer()
    made.url = await made.start()
    yield made
    await made.stop()


async def test_a_published_set_is_read_once_and_again_for_a_key_that_is_new(
    rig_with: RigWith, issuer: Issuer
) -> None:
    rig = await rig_with(**OURS, jwt_jwks_url=issuer.url)
    await rig.connected()
    assert [await status(rig, token()) for _ in range(3)] == [200] * 3
    assert issuer.asked == 1

    issuer.kids = ["two"]
    too_soon = await status(rig, token(kid="two"))
    rig.context.access._signers._tried_s -= rig.settings.jwt_jwks_retry_interval_s
    rotated = await status(rig, token(kid="two"))

    assert (too_soon, rotated) == (401, 200)
    assert await status(rig, token(kid="one")) == 401
    assert issuer.asked == 2


async def test_tokens_that_come_while_the_keys_are_read_wait_for_them(
    rig_with: RigWith, issuer: Issuer
) -> None:
    """In a pod that has just taken over an account; then at a rotation."""
    rig = await rig_with(**OURS, jwt_jwks_url=issuer.url)

    for kid in ("one", "two"):
        issuer.kids, asked = [kid], issuer.asked
        issuer.answers.clear()
        tokens = [token(kid=kid, sub=f"user-{n}") for n in range(5)]
        coming = [asyncio.create_task(rig.context.access.identified(each)) for each in tokens]
        await eventually(lambda before=asked: issuer.asked > before)
        issuer.answers.set()

        subjects = [principal.subject for principal in await asyncio.gather(*coming)]

        assert subjects == [f"jwt:user-{n}" for n in range(5)]
        assert issuer.asked == asked + 1
        rig.context.access._signers._tried_s -= rig.settings.jwt_jwks_retry_interval_s


async def test_while_no_key_was_ever_read_a_token_is_not_called_bad(
    rig_with: RigWith, issuer: Issuer
) -> None:
    rig = await rig_with(**OURS, jwt_jwks_url=issuer.url)
    await rig.connected()
    issuer.status = 500

    with capture_logs() as lines:
        answer = await rig.get("/api/account", key=None, headers=bearer(token()))
    rig.look()
    away = (await rig.ops("/metrics")).body
    issuer.status = 200
    rig.context.access._signers._tried_s -= rig.settings.jwt_jwks_retry_interval_s
    later = await status(rig, token())
    rig.look()

    assert (answer.status, answer.problem) == (503, "/problems/access-unavailable")
    assert answer.headers["Retry-After"]
    assert [line["why"] for line in lines if line["event"] == "jwks_not_read"] == ["answered 500"]
    assert b"mt5_sidecar_issuer_unread 1.0" in away
    assert later == 200
    assert b"mt5_sidecar_issuer_unread 0.0" in (await rig.ops("/metrics")).body
    assert await status(rig, KEY) == 200


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        ({"jwt_jwks_timeout_s": 0.05}, "TimeoutError"),
        ({"jwt_jwks_limit_bytes": 1024}, "ValueError"),
    ],
)
async def test_an_issuer_that_is_slow_or_says_too_much_is_not_waited_for_or_read_on(
    rig_with: RigWith, issuer: Issuer, limit: dict[str, Any], error: str
) -> None:
    rig = await rig_with(**OURS, jwt_jwks_url=issuer.url, **limit)
    issuer.kids = ["one"] * 5
    if "jwt_jwks_timeout_s" in limit:
        issuer.answers.clear()

    with capture_logs() as lines:
        async with asyncio.timeout(4):  # less than the default would take
            answer = await status(rig, token())
    issuer.answers.set()

    assert answer == 503
    assert [line["error"] for line in lines if line["event"] == "jwks_not_read"] == [error]


async def test_that_the_issuer_is_back_is_noticed_without_a_token(
    rig_with: RigWith, issuer: Issuer
) -> None:
    rig = await rig_with(**OURS, jwt_jwks_url=issuer.url, jwt_jwks_cache_s=0.001)
    issuer.status = 500
    assert await status(rig, token()) == 503
    issuer.status = 200

    def read() -> bool:
        rig.look()
        return not rig.context.access.issuer_unread

    await eventually(read)


async def test_a_stream_ends_when_another_key_takes_its_signers_name(rig: Rig) -> None:
    stream = await listen(rig, token())
    [other] = json.loads(jwks("two"))["keys"]

    rig.put("jwks.json", json.dumps({"keys": [other | {"kid": "one"}]}))
    rig.look()

    assert (await closed(stream))[0] == 4401


async def test_a_stream_ends_with_a_signer_that_the_issuer_withdraws(
    rig_with: RigWith, issuer: Issuer
) -> None:
    """Nobody comes with another token meanwhile."""
    rig = await rig_with(**OURS, jwt_jwks_url=issuer.url, jwt_jwks_cache_s=0.001)
    await rig.connected()
    stream = await rig.ws(key=None, bearer=token())
    issuer.kids = ["two"]

    def ended() -> bool:
        rig.look()
        return not len(rig.context.sockets)

    await eventually(ended)

    assert (await closed(stream))[0] == 4401


async def test_the_last_good_keys_stay_while_the_issuer_is_away(
    rig_with: RigWith, issuer: Issuer
) -> None:
    rig = await rig_with(**OURS, jwt_jwks_url=issuer.url, jwt_jwks_cache_s=0.001)
    await rig.connected()
    assert await status(rig, token()) == 200

    issuer.status = 500

    for _ in range(3):
        rig.look()
        assert await status(rig, token()) == 200
    assert issuer.asked > 1


@pytest.mark.parametrize(
    "settings",
    [
        {"jwt_jwks_url": "https://issuer.example/jwks"},
        {"jwt_jwks_url": "https://issuer.example/jwks", "jwt_issuer": ISSUER},
        {"jwt_jwks_url": "file:///etc/passwd", **OURS},
        {"jwt_jwks_url": "https://a/", "jwt_secret_file": "/run/secret", **OURS},
    ],
)
def test_settings_that_would_take_anybodys_tokens_are_refused(
    settings: dict[str, Any], tmp_path: Any
) -> None:
    with pytest.raises(ValidationError, match="jwt"):
        Rig(tmp_path, **settings)


async def test_a_subject_that_is_no_text_can_be_logged(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info")
    try:
        assert await status(rig, token(sub="\ud800", mt5_scopes=["trade"])) == 403
    finally:
        structlog.reset_defaults()

    assert '"subject":"jwt:?~' in capsys.readouterr().out


async def test_no_token_is_in_the_log(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = token(), token(aud="another-service")

    await status(rig, good, "/api/nowhere")
    await status(rig, bad)

    out = capsys.readouterr().out
    assert good not in out
    assert bad not in out
    assert "refused" in out


async def listen(rig: Rig, presented: str) -> Any:
    socket = await rig.ws(key=None, bearer=presented)
    await heard(socket, "welcome")
    return socket


LONG = "https://issuer.example/tenants/0b0f6c9e-7a55-4c57-9d6b-0a1e6a7c55aa/users/"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"{LONG}1", f"{LONG}2"),
        (LONG[:64], f"{LONG[:64]}1"),
        ("half \ud800", "half \ud801"),
    ],
)
async def test_subjects_that_begin_alike_do_not_share_a_bucket(
    rig_with: RigWith, tmp_path: Any, first: str, second: str
) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(jwks("one"))
    limits = {"key_requests_per_s": 0.001, "key_request_burst": 2}
    rig = await rig_with(**OURS, jwt_jwks_file=path, **limits)

    greedy = [await status(rig, token(sub=first)) for _ in range(3)]
    other = await status(rig, token(sub=second))

    assert 429 not in greedy[:2]
    assert greedy[2] == 429
    assert other != 429
    assert all(len(name) <= len("jwt:") + 64 for name in rig.context.limits._callers)
