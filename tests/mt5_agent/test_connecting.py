# SPDX-License-Identifier: Apache-2.0
"""From `Login` to `Connected`, or to the reason why not."""

from platform import python_version

import pytest

from mt5_agent import protocol


async def test_a_good_login_connects_and_shows_the_account(agent, sidecar):
    sidecar.login(10001)

    state = await sidecar.becomes("Connected")
    await sidecar.until(lambda: len(sidecar.snapshots) == 4)

    account = protocol.decode_snapshot(sidecar.snapshots["account"])
    ticks = protocol.decode_snapshot(sidecar.snapshots["ticks"])
    assert (state.login, state.reason, state.versions.package) == (10001, "", "5.0.6231")
    assert state.versions.python == python_version()
    assert account.login == 10001
    assert list(ticks) == ["EURUSD"]


async def test_account_and_positions_are_looked_at_together(agent, sidecar):
    sidecar.login(10001)
    await sidecar.until(lambda: len(sidecar.snapshots) == 4)

    def agree() -> bool:
        account = protocol.decode_snapshot(sidecar.snapshots["account"])
        positions = protocol.decode_snapshot(sidecar.snapshots["positions"])
        return abs(account.profit - sum(p.profit + p.swap for p in positions)) < 0.02

    await sidecar.until(agree)  # now and then a tick comes between the two looks


async def test_without_a_login_the_agent_waits_for_one(agent, sidecar):
    await sidecar.becomes("WaitingForLogin")


async def test_a_wrong_password_is_refused_and_not_tried_again(agent, sidecar):
    sidecar.login(server="Simulator-BadPassword", password="wrong")

    state = await sidecar.becomes("Refused", "BadCredentials")

    assert "Secret" in state.message
    sidecar.login(server="Simulator-BadPassword", password="wrong")
    heartbeats = len(sidecar.states) + 3  # several times the wait between attempts
    await sidecar.until(lambda: len(sidecar.states) >= heartbeats)
    assert sidecar.state.state == "Refused"
    assert agent.journal().count("Invalid account") == 1


async def test_a_refusal_that_is_taken_back_is_tried_again(agent, sidecar):
    sidecar.login(server="Simulator-BadPassword", password="wrong")
    await sidecar.becomes("Refused", "BadCredentials")

    sidecar.send(protocol.Logout())
    sidecar.login(server="Simulator-BadPassword", password="wrong")

    await sidecar.until(lambda: sidecar.state.evidence.logins_refused == 2)
    assert agent.journal().count("Invalid account") == 2


async def test_the_right_password_heals_a_refused_account(agent, sidecar):
    sidecar.login(server="Simulator-BadPassword", password="wrong")
    await sidecar.becomes("Refused")

    sidecar.login(server="Simulator-BadPassword", password="right-password")

    state = await sidecar.becomes("Connected")
    assert state.reason == ""


@pytest.mark.parametrize(
    ("server", "state", "reason"),
    [
        ("Simulator-Nowhere", "LoggingIn", "ServerUnknown"),
        ("Simulator-Unreachable", "LoggingIn", "BrokerUnreachable"),
        ("Simulator-OldBuild", "LoggingIn", "TerminalOutdated"),
        ("Simulator-NeedsOtp", "Refused", "NeedsInteraction"),
    ],
)
async def test_each_trouble_has_its_reason(agent, sidecar, server, state, reason):
    sidecar.login(server=server)

    said = await sidecar.becomes(state, reason)

    assert said.message


async def test_another_login_ends_one_that_hangs(agent, sidecar):
    sidecar.login(server="Simulator-Nowhere")
    await sidecar.becomes("LoggingIn")

    sidecar.login(10002)

    await sidecar.serves(10002)


async def test_another_account_never_sees_the_snapshots_of_the_first(agent, sidecar):
    sidecar.login(10001)
    await sidecar.until(lambda: "account" in sidecar.snapshots)
    sidecar.snapshots.clear()

    sidecar.login(10002)
    await sidecar.until(lambda: "account" in sidecar.snapshots)

    assert protocol.decode_snapshot(sidecar.snapshots["account"]).login == 10002


async def test_logout_forgets_the_account(agent, sidecar):
    sidecar.login()
    await sidecar.becomes("Connected")

    sidecar.send(protocol.Logout())
    await sidecar.becomes("WaitingForLogin")

    answer = await sidecar.ask("account_info")
    assert answer.outcome == "not_sent"


async def test_the_brokers_clock_is_read_from_ticks_that_come(agent, sidecar):
    sidecar.login()

    await sidecar.until(lambda: sidecar.state.utc_offset_s is not None)

    assert sidecar.state.utc_offset_s in {7200, 10800}


async def test_a_tick_of_last_friday_tells_no_clock(agent, sidecar):
    sidecar.login(server="Simulator-MarketClosed")
    await sidecar.serves()
    await sidecar.until(lambda: "ticks" in sidecar.snapshots)
    seen = sidecar.state.since_ms

    await sidecar.until(lambda: sidecar.state.last_contact_ms > seen + 500)  # some looks later

    assert sidecar.state.utc_offset_s is None


@pytest.mark.parametrize(
    ("server", "who"), [("Simulator-AlgoOff", "AutoTrading"), ("Simulator-Investor", "investor")]
)
async def test_who_forbids_programs_to_trade_is_told_and_reads_work(agent, sidecar, server, who):
    sidecar.login(server=server)
    await sidecar.serves()

    await sidecar.until(lambda: sidecar.state.trade_allowed is False)

    assert who in sidecar.state.trade_message
    assert sidecar.state.reason == ""  # connected all the same


async def test_a_slow_log_in_is_waited_for(made_agent, sidecar):
    made_agent.environment["MT5_AGENT_LOGIN_TIMEOUT_S"] = "10"
    made_agent.environment["MT5_AGENT_SILENCE_S"] = "10"
    await made_agent.start()
    await sidecar.joined()
    sidecar.login(server="Simulator-SlowLogin")

    await sidecar.serves()

    assert sidecar.state.evidence.logins == 1
