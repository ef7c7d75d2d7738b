# SPDX-License-Identifier: Apache-2.0
import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog
from sidecar_rig import Rig
from structlog.testing import capture_logs

from mt5_agent import settings as agent_settings
from mt5_sidecar import settings_model
from mt5_sidecar.logs import configure_logs, logger
from mt5_sidecar.orders.office import order_settings
from mt5_sidecar.reading import read_again, settings_of
from mt5_sidecar.settings import LIVE, BadSettings
from mt5_sidecar.settings_model import Settings, load

NAMED = {"account_id": "10001", "login": 10001, "server": "Simulator-Demo"}
FILE = "access/mt5_bridge.yaml"


def reloads(rig: Rig) -> dict[str, float]:
    (family,) = rig.context.metrics.files.settings_reloads.collect()
    return {s.labels["outcome"]: s.value for s in family.samples if s.name.endswith("_total")}


def test_the_environment_is_over_its_own_file_over_the_base_file_over_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "mt5_bridge.yaml"
    base.write_text("ws_max_sockets: 1\nws_ring_events: 2\nbody_limit_bytes: 3\n")
    (tmp_path / "mt5_bridge.test.yaml").write_text("ws_ring_events: 20\nbody_limit_bytes: 30\n")
    monkeypatch.setenv("MT5_SIDECAR_SETTINGS_FILE", str(base))
    monkeypatch.setenv("MT5_SIDECAR_ENVIRONMENT", "test")
    monkeypatch.setenv("MT5_SIDECAR_BODY_LIMIT_BYTES", "300")

    found = load(**NAMED)

    layers = (found.ws_interval_ms, found.ws_max_sockets, found.ws_ring_events)
    assert layers == (500, 1, 20)
    assert found.body_limit_bytes == 300


def test_every_setting_of_orders_reaches_the_desk() -> None:
    names = {name for name in Settings.model_fields if name.startswith("order_")}
    asked = dict.fromkeys(names - {"order_self_activate", "order_retention_days"}, 7)

    found = order_settings(load(**NAMED, **asked, order_retention_days=7))

    assert {name: getattr(found, name.removeprefix("order_")) for name in asked} == asked
    assert found.retention_s == 7 * 86_400


def test_no_call_runs_on_in_the_agent_for_longer_than_orders_count_on() -> None:
    """Or one could still be sent when it is looked for, and be called not sent."""
    orders, reads = order_settings(load(**NAMED)), load(**NAMED)
    agents = {"MT5_AGENT_BACKEND": "simulator"}

    with pytest.raises(agent_settings.BadSetting, match="at most 2"):
        agent_settings.load(agents | {"MT5_AGENT_CALL_PATIENCE_S": "2.1"})

    most_s = agent_settings.load(agents | {"MT5_AGENT_CALL_PATIENCE_S": "2"}).call_patience_s
    assert orders.call_timeout_s > reads.call_timeout_s + most_s


def test_lists_are_written_with_commas_in_the_environment_and_as_lists_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("cors_origins: [https://a.example, 'https://b.example:8443']\n")
    from_file = load(**NAMED, settings_file=file)
    monkeypatch.setenv("MT5_SIDECAR_CORS_ORIGINS", "https://a.example, https://b.example:8443")

    assert from_file.cors_origins == load(**NAMED).cors_origins != ()


@pytest.mark.parametrize(
    "text",
    [
        "ws_max_socket: 5",
        "broker_utc_offset_s: 7200000",
        "ws_max_sockets: many",
        "- a list",
        "a: [",
        "cors_origins: ['https://a.example/path']",
        "cors_origins: ['file://x']",
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)

    with pytest.raises(BadSettings):
        load(**NAMED, settings_file=file)


def test_what_is_live_exists() -> None:
    assert set(Settings.model_fields) > LIVE


async def test_a_changed_file_applies_while_the_sidecar_runs_and_is_told(bridge: Rig) -> None:
    assert [(await bridge.get("/api/account")).status for _ in range(3)] == [200] * 3
    bridge.put(FILE, "key_request_burst: 2\nkey_requests_per_s: 0.001\n")

    with capture_logs() as lines:
        await bridge.reloads()
        await bridge.reloads()

    assert [(await bridge.get("/api/account")).status for _ in range(3)] == [200, 200, 429]
    (line,) = (line for line in lines if line["event"] == "settings_applied")
    assert line["names"] == ["key_request_burst", "key_requests_per_s"]
    assert reloads(bridge) == {"applied": 1}


async def test_a_file_that_is_taken_away_leaves_the_defaults(bridge: Rig) -> None:
    bridge.put(FILE, "ws_max_sockets: 1\n")
    await bridge.reloads()
    assert bridge.settings.ws_max_sockets == 1

    (bridge.folder / FILE).unlink()
    await bridge.reloads()

    assert bridge.settings.ws_max_sockets == 125


async def test_what_needs_a_new_pod_is_told_and_stays_as_it_was(bridge: Rig) -> None:
    bridge.put(FILE, "order_settle_s: 1\nws_max_symbols: 7\n")

    with capture_logs() as lines:
        await bridge.reloads()

    assert (bridge.settings.order_settle_s, bridge.settings.ws_max_symbols) == (15.0, 7)
    (line,) = (line for line in lines if line["event"] == "settings_need_new_pod")
    assert line["names"] == ["order_settle_s"]
    assert reloads(bridge) == {"applied": 1, "waiting": 1}


@pytest.mark.parametrize("text", ["ws_max_symbols: -1", "a: [", "no_such_setting: 1"])
async def test_a_bad_file_changes_nothing_and_is_told_once(bridge: Rig, text: str) -> None:
    before = bridge.settings.model_dump()
    bridge.put(FILE, text)

    with capture_logs() as lines:
        await bridge.reloads()
        await bridge.reloads()

    assert bridge.settings.model_dump() == before
    assert [line["event"] for line in lines] == ["settings_refused"]
    assert reloads(bridge) == {"refused": 1}


async def test_the_level_of_the_log_changes_for_loggers_in_use(
    bridge: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info")
    try:
        said = told(capsys, "before")
        bridge.put(FILE, "log_level: error\n")
        await bridge.reloads()
        silent = told(capsys, "after")
    finally:
        structlog.reset_defaults()

    assert "before" in said
    assert silent == ""


def told(capsys: Any, word: str) -> str:
    capsys.readouterr()
    logger.warning(word)
    return str(capsys.readouterr().out)


def printed(capsys: pytest.CaptureFixture[str]) -> bytes:
    """Return what the process that reads settings says."""
    assert settings_model.main() == 0
    return capsys.readouterr().out.encode()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"CORS_ORIGINS": "https://a.example, https://b.example:8443", "SETTINGS_FILE": "/a.yaml"},
        {"JWT_JWKS_FILE": "/x.json", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a", "ENVIRONMENT": "test"},
        {"BROKER_UTC_OFFSET_S": "7200", "ORDER_SELF_ACTIVATE": "false", "WS_STALL_TIMEOUT_S": "5"},
    ],
)
def test_settings_that_another_process_read_are_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: dict[str, str]
) -> None:
    for name, value in ({k.upper(): str(v) for k, v in NAMED.items()} | given).items():
        monkeypatch.setenv(f"MT5_SIDECAR_{name}", value)

    read, model = settings_of(printed(capsys)), load()

    kinds = {name: type(value) for name, value in vars(model).items()}
    assert vars(read) == vars(model)
    assert {name: type(value) for name, value in vars(read).items()} == kinds
    assert read.files == model.files
    assert read.differences(model) == frozenset()


def test_bad_settings_are_told_by_the_process_that_read_them_without_their_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMED:
        monkeypatch.delenv(f"MT5_SIDECAR_{name.upper()}", raising=False)
    monkeypatch.setenv("MT5_SIDECAR_LOGIN", "canary-of-a-value")

    with pytest.raises(BadSettings) as bad:
        settings_of(printed(capsys))

    assert {fault.partition(":")[0] for fault in bad.value.faults} == set(NAMED)
    assert "canary" not in str(bad.value)


def test_a_process_that_was_ended_while_it_read_is_no_settings() -> None:
    with pytest.raises(BadSettings, match="ended"):
        settings_of(b'{"values": {"login"')


async def test_settings_are_read_again_in_a_process_and_applied(
    bridge: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bridge.settings.model_dump(exclude_unset=True).items():
        monkeypatch.setenv(f"MT5_SIDECAR_{name.upper()}", str(value))
    bridge.sidecar.housekeeping.reloading._again = read_again
    bridge.put(FILE, "ws_max_sockets: 7\n")

    await bridge.reloads()

    assert bridge.settings.ws_max_sockets == 7
    assert reloads(bridge) == {"applied": 1}


async def test_a_file_that_changes_while_it_is_read_is_read_again(bridge: Rig) -> None:
    reloading = bridge.sidecar.housekeeping.reloading
    again, may_end = reloading._again, asyncio.Event()

    async def slowly() -> Settings:
        found = await again()
        await may_end.wait()
        return found

    reloading._again = slowly
    bridge.put(FILE, "ws_max_sockets: 1\n")
    bridge.look()
    await asyncio.sleep(0)
    bridge.put(FILE, "ws_max_sockets: 22\n")
    bridge.look()  # one at a time
    may_end.set()
    await reloading.finished()
    assert bridge.settings.ws_max_sockets == 1

    await bridge.reloads()

    assert bridge.settings.ws_max_sockets == 22


async def test_a_reading_that_fails_is_told_and_the_next_change_is_read(bridge: Rig) -> None:
    reloading = bridge.sidecar.housekeeping.reloading
    again = reloading._again

    async def fails() -> Settings:
        raise OSError("no more processes")

    reloading._again = fails
    bridge.put(FILE, "ws_max_sockets: 1\n")
    await bridge.reloads()
    assert reloads(bridge) == {"refused": 1}

    reloading._again = again
    bridge.put(FILE, "ws_max_sockets: 22\n")
    await bridge.reloads()
    assert bridge.settings.ws_max_sockets == 22
