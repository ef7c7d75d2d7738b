# SPDX-License-Identifier: Apache-2.0
"""Settings come from the environment, or are refused with their name."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from mt5_agent.settings import BadSetting, Settings, load, unknown


def test_numbers_and_paths_are_parsed():
    settings = load({"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_GRACE_S": "7"})

    assert settings.grace_s == 7.0
    assert settings.terminal_argv()[1:3] == ["-m", "mt5_simulator.terminal"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"MT5_AGENT_BACKEND": "real"},
        {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_PLATFORM": "macOS"},
        {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_GRACE_S": "soon"},
        {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_WORKER_COMMAND": "'open"},
        {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_GRACE_S": "-1"},
        {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_GRACE_S": "nan"},
        {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_BACKOFF_MAX_S": "inf"},
        {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_MAX_IN_FLIGHT": "-1"},
        {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_WELCOME_TIMEOUT_S": "0"},
        {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_CALL_PATIENCE_S": "2.1"},
    ],
)
def test_a_bad_setting_is_named(environment):
    with pytest.raises(BadSetting, match="MT5_AGENT_"):
        load(environment)


def test_a_variable_that_is_no_setting_is_told_of_and_harmless():
    environment = {"MT5_AGENT_BACKEND": "simulator", "MT5_AGENT_SERVICE_HOST": "10.0.0.1"}

    assert load(environment).backend == "simulator"
    assert unknown(environment) == ["MT5_AGENT_SERVICE_HOST"]


def test_the_real_backend_never_starts_the_simulator():
    settings = load({"MT5_AGENT_BACKEND": "metatrader5", "MT5_AGENT_TERMINAL_PATH": "C:/t.exe"})

    assert settings.terminal_argv() == ["C:/t.exe", "/portable"]
    assert settings.terminal_argv("a.ini") == ["C:/t.exe", "/portable", "/config:a.ini"]


def test_a_real_terminal_has_a_minute_to_log_in():
    told = {"MT5_AGENT_BACKEND": "metatrader5", "MT5_AGENT_TERMINAL_PATH": "C:/t.exe"}

    assert load(told).login_deadline_s == 60
    assert load(told | {"MT5_AGENT_LOGIN_TIMEOUT_S": "90"}).login_deadline_s == 90


def test_every_setting_is_documented_with_its_default_and_no_other_is():
    page = (Path(__file__).parents[2] / "docs" / "settings-agent.md").read_text()
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| `?([^`|]*?)`? \|", page, re.MULTILINE)
    documented = {name.lower(): default for name, default in rows if not name.endswith("_")}

    assert documented == {field.name: shown(field.default) for field in fields(Settings)}


def shown(default: object) -> str:
    if default is MISSING:
        return "required"
    return f"{default:g}" if isinstance(default, float) else str(default) or "empty"
