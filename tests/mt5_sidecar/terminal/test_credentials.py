# SPDX-License-Identifier: Apache-2.0
import errno
import pickle
from pathlib import Path

import pytest
from scripted_agent import PASSWORD
from sidecar_rig import OWN, Rig, eventually

from mt5_agent import protocol
from mt5_sidecar.domain.secret import Secret
from mt5_sidecar.terminal.credentials import parse_password


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"pa ss", "pa ss"),
        (b"pass\n", "pass"),
        (b"pass\r\n", "pass"),
        (b"pass\n\n", "pass\n"),
        (b" pass ", " pass "),
        ("pässword".encode(), "pässword"),
    ],
)
def test_a_password_is_the_file_without_its_last_line_end(content: bytes, password: str) -> None:
    assert parse_password(content) == Secret(password)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_what_is_no_password_is_none(content: bytes | None) -> None:
    assert parse_password(content) is None


def test_a_secret_shows_itself_to_nobody_by_accident() -> None:
    secret = Secret("canary")

    assert "canary" not in f"{secret} {secret!r} {[secret]} {vars(type(secret))}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


async def test_a_changed_password_logs_in_again_without_a_new_pod(rig: Rig) -> None:
    rig.put("credentials/password", "wrong")
    rig.look()
    agent = rig.new_agent()
    await agent.connect()
    terminal = rig.context.terminal
    await eventually(lambda: terminal.connection.state == "Refused")
    assert (terminal.connection.reason, terminal.connection.credentials) == (
        "BadCredentials",
        "Invalid",
    )

    rig.put("credentials/password", PASSWORD)
    rig.look()

    await eventually(lambda: terminal.connection.connected)
    assert terminal.connection.credentials == "Valid"
    first, second = agent.heard_of(protocol.Login)
    assert second.login_id > first.login_id


async def test_the_kubelets_swap_of_the_data_symlink_is_noticed(rig: Rig) -> None:
    folder = rig.folder / "credentials"
    (folder / "password").unlink()
    for version, password in (("v1", "wrong"), ("v2", PASSWORD)):
        (folder / version).mkdir()
        (folder / version / "password").write_text(password)
    (folder / "..data").symlink_to("v1")
    (folder / "password").symlink_to("..data/password")
    rig.look()
    await rig.new_agent().connect()
    await eventually(lambda: rig.context.terminal.connection.state == "Refused")

    (folder / "..data_tmp").symlink_to("v2")
    (folder / "..data_tmp").replace(folder / "..data")
    rig.look()

    await eventually(lambda: rig.context.terminal.connection.connected)


@pytest.mark.parametrize("content", [None, "", "\n"])
async def test_a_missing_secret_is_said_and_healed_when_it_comes(
    rig: Rig, content: str | None
) -> None:
    (rig.folder / "credentials/password").unlink()
    if content is not None:
        rig.put("credentials/password", content)
    rig.look()
    terminal = rig.context.terminal
    assert (terminal.connection.state, terminal.connection.reason) == (
        "AgentMissing",
        "SecretMissing",
    )
    agent = rig.new_agent()
    await agent.connect()
    await eventually(lambda: terminal.connection.state == "TerminalStarting")
    assert (terminal.connection.reason, terminal.connection.credentials) == (
        "SecretMissing",
        "Missing",
    )
    assert not agent.heard_of(protocol.Login)

    rig.put("credentials/password", PASSWORD)
    rig.look()

    await eventually(lambda: terminal.connection.connected)


async def test_a_secret_that_vanishes_logs_out(bridge: Rig) -> None:
    (bridge.folder / "credentials/password").unlink()
    bridge.look()

    await eventually(lambda: bridge.context.terminal.connection.reason == "SecretMissing")
    assert bridge.agent.heard_of(protocol.Logout)


async def test_files_that_cannot_be_read_at_once_are_read_later(
    bridge: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where strangers' connections have taken every file that a process may open."""
    terminal = bridge.context.terminal
    bridge.put("credentials/password", "another")
    bridge.put_keys([OWN])
    bridge.put_account(enabled=True)
    with monkeypatch.context() as early:
        early.setattr(Path, "read_bytes", refuses)
        bridge.look()
        unread = (terminal.connection.connected, terminal.account_file.trading.enabled)
        refused = (await bridge.get("/api/account")).status

    bridge.look()

    # Who may call is better not known than known wrong; a session ends for no such reason.
    assert (unread, refused) == ((True, False), 503)
    assert (await bridge.get("/api/account")).status == 200
    assert terminal.account_file.trading.enabled
    await eventually(lambda: bridge.agent.heard_of(protocol.Login)[-1].password == "another")
    assert not bridge.agent.heard_of(protocol.Logout)


def refuses(_: Path) -> bytes:
    raise OSError(errno.EMFILE, "Too many open files")


async def test_symbols_of_the_account_file_are_watched_when_they_change(bridge: Rig) -> None:
    bridge.put_account(enabled=False, symbols=("EURUSD", "XAUUSD"))
    bridge.look()

    await eventually(lambda: bridge.agent.heard_of(protocol.Watch))
    assert bridge.agent.heard_of(protocol.Watch)[-1].symbols == ("EURUSD", "XAUUSD")


@pytest.mark.parametrize("content", ["{", '{"trading": {"enabled": "yes"}}', "\udcff"])
async def test_an_account_file_that_cannot_be_read_trades_nothing_until_it_can(
    rig: Rig, content: str
) -> None:
    broker = await rig.trades()
    order = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10"}

    rig.put("account/account.json", content.encode(errors="surrogateescape"))
    rig.look()
    unreadable = await rig.trade("POST", "/api/order", "k1", json=order)
    seen = (await rig.ops("/metrics")).body
    symbols = rig.context.terminal.symbols
    rig.put_account(enabled=True)
    rig.look()
    again = await rig.trade("POST", "/api/order", "k1", json=order)

    assert (unreadable.status, unreadable.problem) == (403, "/problems/trading-disabled")
    assert b"mt5_sidecar_account_unreadable 1.0" in seen
    assert symbols == ("EURUSD",)
    assert (again.status, len(broker.sent)) == (200, 1)
    assert b"mt5_sidecar_account_unreadable 0.0" in (await rig.ops("/metrics")).body
