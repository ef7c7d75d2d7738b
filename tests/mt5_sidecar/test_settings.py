# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import pytest
import structlog
from sidecar_rig import Rig
from structlog.testing import capture_logs

from mt5_sidecar.logs import configure_logs, logger
from mt5_sidecar.settings import LIVE, BadSettings, Settings, load

NAMED = {"account_id": "10001", "login": 10001, "server": "Simulator-Demo"}
FILE = "access/mt5_bridge.yaml"


def reloads(rig: Rig) -> dict[str, float]:
    (family,) = rig.context.metrics.settings_reloads.collect()
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
        bridge.look()
        bridge.look()

    assert [(await bridge.get("/api/account")).status for _ in range(3)] == [200, 200, 429]
    (line,) = (line for line in lines if line["event"] == "settings_applied")
    assert line["names"] == ["key_request_burst", "key_requests_per_s"]
    assert reloads(bridge) == {"applied": 1}


async def test_a_file_that_is_taken_away_leaves_the_defaults(bridge: Rig) -> None:
    bridge.put(FILE, "ws_max_sockets: 1\n")
    bridge.look()
    assert bridge.settings.ws_max_sockets == 1

    (bridge.folder / FILE).unlink()
    bridge.look()

    assert bridge.settings.ws_max_sockets == 100


async def test_what_needs_a_new_pod_is_told_and_stays_as_it_was(bridge: Rig) -> None:
    bridge.put(FILE, "order_settle_s: 1\nws_max_symbols: 7\n")

    with capture_logs() as lines:
        bridge.look()

    assert (bridge.settings.order_settle_s, bridge.settings.ws_max_symbols) == (15.0, 7)
    (line,) = (line for line in lines if line["event"] == "settings_need_new_pod")
    assert line["names"] == ["order_settle_s"]
    assert reloads(bridge) == {"applied": 1, "waiting": 1}


@pytest.mark.parametrize("text", ["ws_max_symbols: -1", "a: [", "no_such_setting: 1"])
async def test_a_bad_file_changes_nothing_and_is_told_once(bridge: Rig, text: str) -> None:
    before = bridge.settings.model_dump()
    bridge.put(FILE, text)

    with capture_logs() as lines:
        bridge.look()
        bridge.look()

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
        bridge.look()
        silent = told(capsys, "after")
    finally:
        structlog.reset_defaults()

    assert "before" in said
    assert silent == ""


def told(capsys: Any, word: str) -> str:
    capsys.readouterr()
    logger.warning(word)
    return str(capsys.readouterr().out)
