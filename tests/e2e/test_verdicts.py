# SPDX-License-Identifier: Apache-2.0
"""What real sidecars count of their brokers decides where accounts run.

Real: node, containers, agent, sidecar, operator, the whole way of the evidence. Not real: the
brokers (test servers), and Windows: see `played_windows`. Hours of the settings are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import pytest
from e2e_world import Account, World
from insider import Door, Insider, TraderWatch
from played_windows import let_be_ready, play

from cluster.backends import Cluster
from cluster.kubectl import Manifest
from cluster.local import LocalCluster

pytestmark = pytest.mark.e2e

KICKS = 2
SHORT = {
    "MT5_OPERATOR_BROKER_TRIAL_S": "20",
    "MT5_OPERATOR_BROKER_JUDGED_AFTER_S": "5",
    "MT5_OPERATOR_BROKER_KICKS": str(KICKS),
    # -DropsLink is dropped every 20 s: it must count as kicked, and be acquitted all the same.
    "MT5_OPERATOR_BROKER_KICKS_WINDOW_S": "60",
    "MT5_OPERATOR_BROKER_SUSPECT_S": "5",
    "MT5_OPERATOR_BROKER_FRESH_STARTS": "2",
    "MT5_OPERATOR_BROKER_FRESH_START_PAUSE_S": "5",
    "MT5_OPERATOR_BROKER_REVIEW_S": "0.5",
    "MT5_OPERATOR_BROKER_STATUS_S": "1",
    "MT5_OPERATOR_SIDECAR_POLL_S": "1",
    "MT5_OPERATOR_SIDECAR_POLL_MAX_S": "1",
    "MT5_OPERATOR_SIDECAR_POLL_CONNECTED_S": "1",
}
# Enough for two cores that start seven pods at once.
TOLD_S = 180.0
BLOCKED = "simulator-wineblocked"


@dataclass(frozen=True)
class Trial:
    """Accounts at brokers of every kind, and operators that judge in seconds."""

    world: World
    insider: Insider
    accounts: dict[str, Account]
    add_windows: Callable[[], str]

    def broker(self, name: str) -> Manifest:
        """Return a broker's status."""
        found = self.world.kubectl.get("mt5broker", name) or {}
        return dict(found.get("status", {}))

    def criterion(self, broker: str, name: str) -> Manifest:
        """Return a criterion of a broker."""
        found = self.broker(broker).get("criteria", [])
        return next((each for each in found if each["name"] == name), {})

    def decided(self, broker: str) -> str:
        """Return the reason of a broker's verdict."""
        return str(_condition(self.broker(broker), "Decided").get("reason", ""))

    def pod(self, account: Account, slot: str = "a") -> Manifest:
        """Return the pod of an account's slot; empty if there is none."""
        return self.world.kubectl.get("pod", f"{account.name}-{slot}-0") or {}

    def door(self, account: Account) -> Door:
        """Return the sidecar of an account's slot a."""
        pod = self.pod(account)
        return Door(pod["metadata"]["uid"], pod["status"]["podIP"])

    def await_the_verdict(self) -> None:
        """Wait until the broker that blocks Wine was found out."""
        known = ("NoWindowsNode", "BrokerRequiresWindows")
        self.until(lambda: self.decided(BLOCKED) in known, "a verdict")

    def await_reviews(self, broker: str) -> None:
        """Wait until a broker was reviewed twice from now on."""
        for _ in range(2):
            before = self.broker(broker).get("lookedAt")
            self.until(lambda: self.broker(broker).get("lookedAt") != before, "a review")  # noqa: B023 - awaited here

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Wait until `look` answers with something."""
        return self.world.until(look, what, timeout_s=TOLD_S)

    def told(self, reason: str) -> list[Manifest]:
        """Return the Events about our accounts with this reason."""
        events = self.world.kubectl.list("events.events.k8s.io")
        return [each for each in events if each["reason"] == reason]


@pytest.fixture(scope="module")
def add_windows(node_cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Return what adds a fake Windows node, and returns its name; it goes after the accounts."""
    names: list[str] = []

    def add() -> str:
        if not isinstance(node_cluster, LocalCluster):
            pytest.skip("fake nodes are a matter of our own cluster (KWOK)")
        names.extend(node_cluster.control_plane.add_fake_nodes(1, os="windows"))
        return names[0]

    yield add
    if names:
        node_cluster.kubectl.delete("node", *names)


@pytest.fixture(scope="module")
def trial(add_windows: Callable[[], str], shared_world: World) -> Iterator[Trial]:
    """Return accounts at the test servers; what earlier tests taught of brokers is forgotten."""
    world = shared_world
    world.kubectl("delete", "mt5brokers", "--all")
    accounts = {
        "blocked": world.apply_account(server="Simulator-WineBlocked", trading=True),
        "drops": world.apply_account(server="Simulator-DropsLink"),
        "refused": world.apply_account(
            server="Simulator-BadPassword", secret={"password": "wrong"}
        ),
        "unreachable": world.apply_account(server="Simulator-Unreachable"),
        # Most accounts on the node must be well, or it is the node's network.
        **{f"well {number}": world.apply_account() for number in range(2)},
    }
    with world.operators_with(SHORT):
        yield Trial(world, Insider(world), accounts, add_windows)
    world.kubectl("delete", "mt5brokers", "--all")


def test_a_broker_that_blocks_wine_is_found_out_and_its_account_moves_to_windows(
    trial: Trial,
) -> None:
    account = trial.accounts["blocked"]
    _is_found_out_and_waits_for_a_node(trial, account)

    windows = trial.add_windows()

    pod = trial.until(partial(_on_a_node, trial, account), "slot b on the Windows node")
    assert pod["spec"]["nodeName"] == windows
    assert pod["spec"]["os"] == {"name": "windows"}
    verdict = trial.broker(BLOCKED)
    assert verdict["observedAccounts"] == 1
    assert verdict["verdict"] == "RequiresWindows"
    assert "Linux refused: 1 of 1 accounts, never stable" in verdict["message"]
    assert trial.criterion(BLOCKED, "NoWineRejection")["state"] == "Failed"
    _moves_and_never_two_trade(trial, account, pod)

    trial.until(lambda: trial.broker(BLOCKED).get("windowsAcceptedAt"), "the proof")
    assert "Windows accepted at" in trial.broker(BLOCKED)["message"]
    assert "1 accounts, Windows accepted" in trial.broker(BLOCKED)["confidence"]
    _everybody_was_told(trial, account)


def _is_found_out_and_waits_for_a_node(trial: Trial, account: Account) -> None:
    trial.until(lambda: trial.decided(BLOCKED) == "NoWindowsNode", "the verdict")
    # The terminal's own journal said so, and the agent read it.
    trial.world.wait_reason(account.name, "PlatformRejected", timeout_s=TOLD_S)
    told = trial.broker(BLOCKED)
    assert told["verdict"] == "Testing"
    assert re.search(r"logged in and thrown out \d+ times", told["message"])
    assert "again after 2 fresh starts of the terminal" in told["message"]
    assert "no node can run Windows pods: add one" in told["message"]
    # Not a word of it is made up: its sidecar counts the same.
    evidence = trial.insider.state(trial.door(account))["evidence"]
    assert evidence["platform"] == "Linux"
    assert evidence["authorised_then_lost"] >= KICKS
    assert evidence["last_healthy"] is None
    # One of the fresh starts is the first start of all; the operator made the other.
    starts = trial.told("FreshStart")
    assert [each["regarding"]["name"] for each in starts] == [account.name]
    assert trial.world.operators_metric("mt5_operator_fresh_starts_total") == 1


def _on_a_node(trial: Trial, account: Account) -> Manifest | None:
    pod = trial.pod(account, "b")
    return pod if pod.get("spec", {}).get("nodeName") else None


def _moves_and_never_two_trade(trial: Trial, account: Account, windows: Manifest) -> None:
    world, linux = trial.world, trial.pod(account)
    kubectl, uid = world.kubectl, windows["metadata"]["uid"]
    address = play(kubectl, windows, linux)
    slots = {"a": trial.door(account), "b": Door(uid, address)}
    with TraderWatch(trial.insider, slots) as watch:
        world.until(lambda: watch.seen, "a first look")
        before = world.account(account.name)["status"]
        assert before["trader"]["pod"] == linux["metadata"]["uid"]
        assert before["move"]["phase"] == "Starting"
        let_be_ready(kubectl, windows, address)
        trial.until(partial(_has_moved, trial, account), "the end of the move")
    # One, then nobody while the keys go over, then the other one; at no moment both.
    traded = [slot for slot, _ in groupby(filter(None, watch.seen))]
    assert traded == [("a",), ("b",)]
    found = world.account(account.name)["status"]
    assert found["trader"]["pod"] == uid
    assert found["platform"] == "Windows"
    world.wait_ready(account.name, timeout_s=TOLD_S)
    answer = world.until(partial(_answers, world, account), "an answer from Windows")
    assert str(account.login) in answer


def _has_moved(trial: Trial, account: Account) -> bool:
    status = trial.world.account(account.name)["status"]
    return status["trader"]["slot"] == "b" and "move" not in status and not trial.pod(account)


def _answers(world: World, account: Account) -> str:
    answer = world.get(f"/accounts/{account.id}/api/account")
    return answer.body if answer.status == 200 else ""


def _everybody_was_told(trial: Trial, account: Account) -> None:
    world = trial.world
    compatible = _condition(world.account(account.name)["status"], "Compatible")
    assert (compatible["status"], compatible["reason"]) == ("True", "BrokerRequiresWindows")
    (moved,) = trial.told("MovedToWindows")
    assert moved["regarding"]["name"] == account.name
    broker = world.kubectl.get("mt5broker", BLOCKED) or {}
    everywhere = world.kubectl.within("default").list("events.events.k8s.io")
    uid = broker["metadata"]["uid"]
    notes = [each["note"] for each in everywhere if each["regarding"].get("uid") == uid]
    assert any("no node can run Windows pods" in note for note in notes)
    assert any("Testing -> RequiresWindows: Linux refused" in note for note in notes)
    windows = 'mt5_operator_platform_moves_total{to="Windows"}'
    assert world.operators_metric(windows) == 1
    verdicts = 'mt5_operator_broker_verdict{verdict="RequiresWindows"}'
    trial.until(lambda: world.operators_metric(verdicts) == 1, "the gauge")
    print(f"\n{world.kubectl('get', 'mt5brokers', '--output=wide')}")  # noqa: T201


@pytest.mark.parametrize(
    ("who", "server", "reason"),
    [
        ("refused", "Simulator-BadPassword", "BadCredentials"),
        ("unreachable", "Simulator-Unreachable", "BrokerUnreachable"),
    ],
)
def test_bad_passwords_and_networks_say_nothing_of_platforms(
    trial: Trial, who: str, server: str, reason: str
) -> None:
    account, broker = trial.accounts[who], server.lower()
    trial.world.wait_reason(account.name, reason, timeout_s=TOLD_S)
    # At the same thresholds another broker was found out, and this one is judged still.
    trial.await_the_verdict()
    trial.await_reviews(broker)

    told = trial.broker(broker)
    assert told["verdict"] == "Unknown"
    assert trial.decided(broker) == "NotTriedYet"
    connects = trial.criterion(broker, "Connects")
    assert connects["state"] == "Pending"
    assert reason in connects["evidence"]
    assert trial.criterion(broker, "NoWineRejection")["state"] == "Pending"
    _was_left_alone(trial, account)


def test_a_bad_line_fails_its_criterion_and_moves_nobody(trial: Trial) -> None:
    account, broker = trial.accounts["drops"], "simulator-dropslink"

    def kicked_enough() -> bool:
        counted = trial.insider.state(trial.door(account))["evidence"]
        return int(counted["authorised_then_lost"]) >= KICKS

    def no_drops_failed() -> Manifest | None:
        found = trial.criterion(broker, "NoDrops")
        return found if found["state"] == "Failed" else None

    trial.until(lambda: trial.pod(account).get("status", {}).get("podIP"), "its pod")
    trial.until(kicked_enough, "as many lost links as would be kicks")
    trial.await_reviews(broker)

    # Each trial begins without a word, and ends with it.
    failed = trial.until(no_drops_failed, "a bad line")
    assert "lost links an hour" in failed["evidence"]
    assert trial.insider.state(trial.door(account))["evidence"]["last_healthy"] is None
    told = trial.broker(broker)
    assert told["verdict"] == "Testing"
    assert trial.decided(broker) == "TrialRunning"
    assert "suspected" not in told["message"]
    assert trial.criterion(broker, "NoWineRejection")["state"] != "Failed"
    _was_left_alone(trial, account)


def test_a_broker_whose_accounts_are_well_accepts_linux(trial: Trial) -> None:
    broker = "simulator-demo"

    trial.until(lambda: trial.broker(broker).get("verdict") == "LinuxCompatible", "the verdict")

    assert {each["state"] for each in trial.broker(broker)["criteria"]} == {"Passed"}
    assert trial.decided(broker) == "BrokerAcceptsLinux"
    for name in ("well 0", "well 1"):
        _was_left_alone(trial, trial.accounts[name])


def _was_left_alone(trial: Trial, account: Account) -> None:
    found = trial.world.account(account.name)["status"]
    assert found["platform"] == "Linux"
    assert "move" not in found
    assert trial.pod(account, "b") == {}
    for reason in ("FreshStart", "MovedToWindows"):
        assert account.name not in {each["regarding"]["name"] for each in trial.told(reason)}
    # Its first pod: nobody started it afresh.
    assert trial.world.restarts(f"{account.name}-a-0") == 0


def _condition(status: Manifest, kind: str) -> Manifest:
    conditions = status.get("conditions", [])
    return next((dict(each) for each in conditions if each["type"] == kind), {})
