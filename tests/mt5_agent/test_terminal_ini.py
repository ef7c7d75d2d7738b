# SPDX-License-Identifier: Apache-2.0
import stat
from pathlib import Path

import pytest

from mt5_agent import terminal_ini
from mt5_agent.terminal_ini import Unwritable


def text(*, password: str = "Secret1", server: str = "Broker-Server") -> str:  # noqa: S107 -- not one
    account = terminal_ini.account(login=12345678, password=password, server=server)
    return terminal_ini.start_ini(account).decode("ascii")


def test_the_start_file_is_ascii_and_every_line_ends_as_windows_wants() -> None:
    lines = text().split("\r\n")

    assert lines[:4] == ["[Common]", "Login=12345678", "Password=Secret1", "Server=Broker-Server"]
    assert lines[-1] == ""
    assert not any("\n" in line for line in lines)


@pytest.mark.parametrize(
    "line",
    ["Enabled=1", "Api=0", "AllowDllImport=0", "WebRequest=0", "NewsEnable=0", "MaxBars=100000"],
)
def test_the_start_file_allows_the_package_to_trade_and_nothing_else(line: str) -> None:
    assert f"\r\n{line}\r\n" in text()


@pytest.mark.parametrize(
    ("password", "line"),
    [
        ("plain", "Password=plain"),
        ("with space", 'Password="with space"'),
        ("semi;colon", 'Password="semi;colon"'),
        ("eq=ual", 'Password="eq=ual"'),
        ("#hash", 'Password="#hash"'),
        ("[x]", 'Password="[x]"'),
        ("it's", 'Password="it\'s"'),
        ('in"side', 'Password=in"side'),
        (" edge ", 'Password=" edge "'),
    ],
)
def test_a_password_is_quoted_where_the_reader_would_cut_it(password: str, line: str) -> None:
    assert line in text(password=password).split("\r\n")


def test_a_server_given_as_address_needs_no_quotes() -> None:
    assert "Server=192.0.2.1:443" in text(server="192.0.2.1:443").split("\r\n")


@pytest.mark.parametrize(
    "password",
    ["", "päss", "line\nbreak", "cr\rhere", "tab\there", "nul\0", '"first', 'both" and'],
)
def test_what_the_file_cannot_hold_is_refused_without_being_told(password: str) -> None:
    with pytest.raises(Unwritable) as refused:
        text(password=password)

    assert "password" in str(refused.value)
    assert not password or password not in str(refused.value)


def test_a_line_break_in_the_server_cannot_add_a_setting() -> None:
    with pytest.raises(Unwritable):
        text(server="Broker\r\nAllowDllImport=1")


def test_the_built_in_mcp_server_is_off() -> None:
    assert b"[MCP.MetaTrader]\r\nEnable=0\r\n" in terminal_ini.assistant_ini()


def test_stale_settings_are_gone_before_a_start_and_the_account_stays(tmp_path: Path) -> None:
    config = tmp_path / "Config"
    config.mkdir()
    for name in ("settings.ini", "common.ini", "terminal.ini", "accounts.dat"):
        (config / name).write_text("old")

    terminal_ini.prepare(tmp_path, tmp_path / "start.ini", b"new")

    assert sorted(path.name for path in config.iterdir()) == ["accounts.dat", "assistant.ini"]


def test_a_folder_of_another_case_is_the_same_to_the_terminal(tmp_path: Path) -> None:
    """Wine and Windows find `config`, and a second MCP server's door would be open in it."""
    config = tmp_path / "config"
    config.mkdir()
    for name in ("Common.ini", "Assistant.ini", "accounts.dat"):
        (config / name).write_text("old")

    terminal_ini.prepare(tmp_path, tmp_path / "start.ini", b"new")

    assert sorted(path.name for path in config.iterdir()) == ["accounts.dat", "assistant.ini"]
    assert (config / "assistant.ini").read_bytes() == terminal_ini.assistant_ini()
    assert not (tmp_path / "Config").exists()


def test_the_start_file_is_for_its_owner_only_and_replaces_an_older_one(tmp_path: Path) -> None:
    ini = tmp_path / "start.ini"
    ini.write_text("an older, longer one")
    ini.chmod(0o644)

    terminal_ini.prepare(tmp_path, ini, b"new")

    assert ini.read_bytes() == b"new"
    assert stat.S_IMODE(ini.stat().st_mode) == 0o600


def test_a_link_in_the_start_files_place_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "start.ini").symlink_to(victim)

    terminal_ini.prepare(tmp_path, tmp_path / "start.ini", b"new")

    assert victim.read_text() == "kept"


def test_forgetting_twice_is_as_good_as_once(tmp_path: Path) -> None:
    ini = tmp_path / "start.ini"
    terminal_ini.prepare(tmp_path, ini, b"new")

    terminal_ini.forget(ini)
    terminal_ini.forget(ini)

    assert not ini.exists()
