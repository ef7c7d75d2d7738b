# SPDX-License-Identifier: Apache-2.0
"""Real journal lines and error codes, and what they mean (MT5.md 4)."""

import pytest

from mt5_agent.classify import Sight, finding, no_worker
from mt5_agent.reasons import Reason

X = "ICMarkets-Demo"
AUTHORIZED = f"'123': authorized on {X} through Access Point 5 (ping: 45.12 ms, build 4885)"
SYNCHRONIZED = "'123': terminal synchronized with Raw Trading Ltd: 0 positions, 0 orders"
LOST = f"'123': connection to {X} lost"


def seen(*lines: str, **rest: object) -> Sight:
    return Sight(**{"server": X, "platform": "Linux", "lines": lines, **rest})


@pytest.mark.parametrize(
    ("sight", "reason"),
    [
        (seen("A debugger has been found running in your system"), Reason.WINE_FAULT),
        (
            seen(
                "unstable and unsupported Wine 8.13 detected, please upgrade to Wine 10.0 or later"
            ),
            Reason.WINE_FAULT,
        ),
        (seen(f"'123': authorization on {X} failed (Invalid account)"), Reason.BAD_CREDENTIALS),
        (seen(f"'123': authorization on {X} failed (Account disabled)"), Reason.BAD_CREDENTIALS),
        (
            seen(f"'123': authorization on {X} failed (Service is not available)"),
            Reason.BROKER_UNREACHABLE,
        ),
        (seen(f"'123': authorization on {X} failed (Common error)"), Reason.BROKER_UNREACHABLE),
        (seen(f"'123': no connection to {X}"), Reason.BROKER_UNREACHABLE),
        (seen(AUTHORIZED, LOST), Reason.BROKER_UNREACHABLE),
        (
            seen(AUTHORIZED, "'123': error sending synchronization command"),
            Reason.BROKER_UNREACHABLE,
        ),
        (seen(f"'123': authorization on {X} failed (Old version)"), Reason.TERMINAL_OUTDATED),
        (seen(code=-5), Reason.TERMINAL_OUTDATED),
        (seen(code=-6, text="Terminal: Authorization failed"), Reason.BAD_CREDENTIALS),
        (seen(code=-7), Reason.NEEDS_INTERACTION),
        (seen(code=-10003, text="MetaTrader 5 x64 not found"), Reason.TERMINAL_MISSING),
        (seen(code=-10003, text="Process create failed"), Reason.TERMINAL_MISSING),
        (
            seen(code=-10003, text="Pipe server didn't answer in 60 sec"),
            Reason.TERMINAL_FAULT,
        ),
        (seen(code=-10002, text="IPC recv failed"), Reason.TERMINAL_FAULT),
        (seen("full recompilation finished", code=-10005), Reason.SERVER_UNKNOWN),
        (seen("full recompilation finished", silent=True), Reason.SERVER_UNKNOWN),
        (seen(code=-10005, known_server=True), Reason.TERMINAL_FAULT),
        (seen(AUTHORIZED, code=-10005), Reason.BROKER_UNREACHABLE),
        (seen(AUTHORIZED, SYNCHRONIZED, LOST, drops=5), Reason.PLATFORM_REJECTED),
        (seen(AUTHORIZED, SYNCHRONIZED, LOST, drops=4), Reason.BROKER_UNREACHABLE),
        (seen(terminal_runs=False), Reason.TERMINAL_FAULT),
        (seen(terminal_runs=False, ends=2), Reason.TERMINAL_FAULT),
        (seen(terminal_runs=False, ends=3), Reason.WINE_FAULT),
        (seen(terminal_runs=False, ends=3, platform="Windows"), Reason.TERMINAL_FAULT),
        (
            seen("Unhandled page fault on read access to 0000000000000000", terminal_runs=False),
            Reason.WINE_FAULT,
        ),
    ],
)
def test_evidence_gives_a_reason_and_a_sentence(sight, reason):
    found = finding(sight)

    assert found is not None
    assert found.reason is reason
    assert len(found.message) > 30


# MT5.md 4, rows 9 and 10: rights on the account, a switch in the terminal. Not a reason why the
# account is not connected, and never the platform.
@pytest.mark.parametrize(
    "line",
    [
        "'123': trading has been disabled - investor mode",
        "'123': trading has been enabled - hedging mode",
        "automated trading is disabled",
    ],
)
def test_rights_are_no_reason_to_call_an_account_disconnected(line):
    assert finding(seen(AUTHORIZED, SYNCHRONIZED, line)) is None


@pytest.mark.parametrize("row", range(1, 8))
def test_rows_1_to_7_never_blame_the_platform_however_often_the_link_was_lost(row):
    sight = {
        1: seen("A debugger has been found running in your system", drops=9),
        2: seen("full recompilation finished", code=-10005, drops=9),
        3: seen(f"'123': no connection to {X}", drops=9),
        4: seen(f"'123': authorization on {X} failed (Invalid account)", code=-6, drops=9),
        5: seen(AUTHORIZED, "'123': error sending synchronization command", drops=9),
        6: seen(code=-7, drops=9),
        7: seen(code=-5, drops=9),
    }[row]

    assert finding(sight).reason is not Reason.PLATFORM_REJECTED


def test_a_worker_that_cannot_be_started_is_the_images_fault():
    assert no_worker("Linux", "metatrader5").reason is Reason.WINE_FAULT
    assert no_worker("Windows", "metatrader5").reason is Reason.TERMINAL_FAULT
    assert no_worker("Linux", "simulator").reason is Reason.TERMINAL_FAULT


def test_nothing_seen_is_no_reason():
    assert finding(seen()) is None
    assert finding(seen(AUTHORIZED, SYNCHRONIZED)) is None


def test_a_later_authorization_outweighs_an_earlier_refusal():
    refused = f"'123': authorization on {X} failed (Invalid account)"

    assert finding(seen(refused, AUTHORIZED)) is None


def test_only_what_could_lock_the_account_is_final():
    final = {
        reason
        for reason, sight in {
            Reason.BAD_CREDENTIALS: seen(code=-6),
            Reason.NEEDS_INTERACTION: seen(code=-7),
            Reason.TERMINAL_OUTDATED: seen(code=-5),
            Reason.BROKER_UNREACHABLE: seen(f"no connection to {X}"),
        }.items()
        if finding(sight).final
    }

    assert final == {Reason.BAD_CREDENTIALS, Reason.NEEDS_INTERACTION}


def test_one_failed_login_never_blames_the_platform():
    sight = seen(f"'123': authorization on {X} failed (Invalid account)", code=-6, drops=9)

    assert finding(sight).reason is Reason.BAD_CREDENTIALS


def test_a_silent_log_in_on_a_server_that_is_known_says_nothing_of_the_server():
    assert finding(seen(silent=True, known_server=True)) is None
