# SPDX-License-Identifier: Apache-2.0
import pytest
from sidecar_rig import KEY, Rig, api_key, key_record

from mt5_agent import protocol
from mt5_sidecar import errors
from mt5_sidecar.api.requests.problems import STATUS, document, problem, slug


def leaves(kind: type[errors.BridgeError]) -> set[type[errors.BridgeError]]:
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*(leaves(k) for k in below))


def test_every_error_has_a_status_and_a_name_of_its_own() -> None:
    assert set(STATUS) == leaves(errors.BridgeError)
    assert len({slug(kind) for kind in STATUS}) == len(STATUS)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {line.split()[0] for line in (errors.__doc__ or "").splitlines()[2:] if line.strip()}

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert drawn == {kind.__name__ for kind in kinds if issubclass(kind, errors.BridgeError)}


@pytest.mark.parametrize(
    ("error", "status", "type_"),
    [
        (errors.InvalidRequest(), 400, "/problems/invalid-request"),
        (errors.Unauthenticated(), 401, "/problems/unauthenticated"),
        (errors.Forbidden(), 403, "/problems/forbidden"),
        (errors.TradingDisabled(), 403, "/problems/trading-disabled"),
        (errors.UnknownSymbol(), 404, "/problems/unknown-symbol"),
        (errors.UnknownMethod(), 405, "/problems/unknown-method"),
        (errors.BodyTooLarge(), 413, "/problems/body-too-large"),
        (errors.Misdirected(), 421, "/problems/misdirected"),
        (errors.Unexpected(), 500, "/problems/internal"),
        (errors.TooManyRequests(), 429, "/problems/too-many-requests"),
        (errors.TerminalRefused(), 502, "/problems/terminal-refused"),
        (errors.TerminalUnavailable(), 503, "/problems/terminal-unavailable"),
        (errors.TerminalTimeout(), 504, "/problems/terminal-timeout"),
    ],
)
def test_clients_can_rely_on_status_and_type(
    error: errors.BridgeError, status: int, type_: str
) -> None:
    assert problem(error, retry_after_s=2).status == status
    assert document(error)["type"] == type_


@pytest.mark.parametrize(
    ("method", "path", "status", "type_"),
    [
        ("GET", "/nowhere", 404, "/problems/unknown-path"),
        ("PUT", "/api/account", 405, "/problems/unknown-method"),
        ("GET", "/api/history?days=0", 400, "/problems/invalid-request"),
        ("GET", "/ws", 400, "/problems/invalid-request"),
        ("GET", "/ws?channels=nonsense", 400, "/problems/invalid-request"),
        ("GET", "/ws?seq=5", 400, "/problems/invalid-request"),
        ("GET", "/ws?interval_ms=-1", 400, "/problems/invalid-request"),
    ],
)
async def test_what_is_wrong_is_told_as_a_problem(
    rig: Rig, method: str, path: str, status: int, type_: str
) -> None:
    answer = await rig.request(method, path)

    assert (answer.status, answer.problem) == (status, type_)


async def test_a_fault_of_ours_is_500_and_tells_nothing_but_its_request_id(
    bridge: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("inner workings")

    monkeypatch.setattr(bridge.context.reads, "read", explode)

    answer = await bridge.get("/api/account", headers={"X-Request-Id": "abc-1"})

    assert (answer.status, answer.problem) == (500, "/problems/internal")
    assert answer.json["request_id"] == answer.headers["X-Request-Id"] == "abc-1"
    assert b"inner" not in answer.body


async def test_a_request_id_that_could_break_a_log_is_replaced(rig: Rig) -> None:
    answer = await rig.get("/api/health", headers={"X-Request-Id": "a b" * 50})

    assert len(answer.headers["X-Request-Id"]) == 16


TRADES = [
    ("POST", "/api/order"),
    ("POST", "/order"),
    ("POST", "/api/order/check"),
    ("PATCH", "/api/orders/1"),
    ("DELETE", "/api/orders/1"),
    ("PATCH", "/api/positions/1"),
    ("DELETE", "/api/positions/1"),
    ("POST", "/api/positions/1/close-by"),
]


@pytest.mark.parametrize(("method", "path"), TRADES)
async def test_trading_is_off_until_it_is_asked_for(bridge: Rig, method: str, path: str) -> None:
    bridge.put_keys([key_record("t", accounts=["10001"], scopes=["trade"])])
    bridge.look()

    answer = await bridge.request(method, path, key=api_key("t"))

    assert (answer.status, answer.problem) == (403, "/problems/trading-disabled")
    assert not [r for r in bridge.agent.heard_of(protocol.Request) if "order" in r.call]


@pytest.mark.parametrize("path", ["/api/account", "/api/health", "/nowhere", "/ws"])
@pytest.mark.parametrize("key", [KEY, None])
async def test_a_request_for_another_account_is_misdirected_before_anything_else(
    bridge: Rig, path: str, key: str | None
) -> None:
    header = await bridge.get(path, key=key, headers={"X-MT5-Account-Id": "10002"})
    query = await bridge.get(f"{path}?account_id=10002", key=key)

    assert {header.status, query.status} == {421}
    assert header.problem == "/problems/misdirected"


async def test_a_request_that_names_two_accounts_is_not_sent_round_in_circles(bridge: Rig) -> None:
    routed = {"X-MT5-Account-Id": "10001"}

    answer = await bridge.get("/api/account?account%5Fid=10002", headers=routed)

    assert (answer.status, answer.problem) == (400, "/problems/invalid-request")


async def test_the_routers_header_for_this_account_is_accepted(bridge: Rig) -> None:
    answer = await bridge.get("/api/account", headers={"X-MT5-Account-Id": "10001"})

    assert answer.status == 200
