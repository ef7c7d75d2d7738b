# SPDX-License-Identifier: Apache-2.0
"""Where accounts run, decided from what their sidecars tell; Windows nodes are fake, and so are
brokers, and the hours of the settings are seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.control_plane import ControlPlane
from cluster.errors import CommandFailed
from cluster.kubectl import Kubectl
from cluster.paths import REPOSITORY
from operator_cluster import stub_brokers
from operator_cluster.manifests import account, await_reason, condition, secret
from operator_cluster.operator_process import (
    QUICK_LEASE,
    MakeOperator,
    Operator,
    eventually,
    steady,
)
from operator_cluster.redis_process import running_redis
from operator_cluster.sidecar_stub import SidecarStub
from operator_cluster.stub_brokers import StubBrokers

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SHORT = {
    "broker_trial_s": 3,
    "broker_judged_after_s": 1,
    "broker_kicks": 3,
    "broker_kicks_window_s": 20,
    "broker_suspect_s": 2,
    "broker_fresh_starts": 2,
    "broker_fresh_start_pause_s": 1,
    "broker_healthy_s": 3600,
    "broker_review_s": 0.3,
    "broker_status_s": 1,
    "sidecar_poll_s": 0.2,
    "sidecar_poll_max_s": 0.5,
    "sidecar_poll_connected_s": 0.5,
    "stuck_pod_s": 1,
    # A platform move is a move to the other slot: without its pauses.
    "move_gather_s": 0.1,
    "move_pause_s": 0,
    "move_min_ready_s": 0,
    "move_drain_s": 0.1,
}
Start = Callable[..., Operator]


@pytest.fixture(autouse=True)
def no_brokers(plane: ControlPlane) -> Iterator[None]:
    """Forget what earlier tests taught of brokers."""
    plane.kubectl("delete", "mt5brokers", "--all", "--wait=true")
    yield
    plane.kubectl("delete", "mt5brokers", "--all", "--wait=true")


@pytest.fixture
def servers(sidecars: SidecarStub, kubectl: Kubectl) -> StubBrokers:
    """Return the brokers behind the stub sidecars."""
    brokers = StubBrokers(kubectl)
    sidecars.says = brokers
    return brokers


@pytest.fixture
def start(make_operator: MakeOperator, kubectl: Kubectl, servers: StubBrokers) -> Iterator[Start]:
    """Return what starts an operator with short times."""
    del servers
    started: list[Operator] = []

    def begin(**settings: Any) -> Operator:
        operator = make_operator(**{**SHORT, **settings})
        started.append(operator)
        operator.lead()
        return operator

    yield begin
    # Shown with a failure only.
    print(kubectl("get", "mt5brokers,mt5accounts,pods", "--output=yaml"))  # noqa: T201
    for operator in started:
        print(operator.last_words())  # noqa: T201


@pytest.fixture
def windows(plane: ControlPlane, kubectl: Kubectl) -> Iterator[Callable[[], None]]:
    """Return what adds a Windows node; it goes with the test."""
    nodes = _nodes(kubectl)
    yield lambda: plane.add_fake_nodes(1, os="windows") and None
    if new := _nodes(kubectl) - nodes:
        kubectl("delete", *new)


def _nodes(kubectl: Kubectl) -> set[str]:
    return set(kubectl("get", "nodes", "--output=name").split())


def blocked(name: str = "demo", login: int = 10001, **spec: Any) -> dict[str, Any]:
    """Return an account at the broker that blocks Wine."""
    return account(name, login=login, server="Simulator-WineBlocked", **spec)


def status(kubectl: Kubectl, name: str = "simulator-wineblocked") -> dict[str, Any]:
    """Return a broker's status."""
    return dict((kubectl.get("mt5broker", name) or {}).get("status", {}))


def criterion(kubectl: Kubectl, criterion: str, broker: str) -> dict[str, Any]:
    """Return a criterion of a broker."""
    found = status(kubectl, broker).get("criteria", [])
    return next((item for item in found if item["name"] == criterion), {})


def platform(kubectl: Kubectl, name: str = "demo") -> str:
    """Return where an account runs."""
    found = (kubectl.get("mt5account", name) or {}).get("status", {})
    pod = kubectl.get("pod", f"{name}-{found.get('slot', 'a')}-0") or {"spec": {}}
    told = found.get("platform", "")
    runs = pod["spec"].get("os", {}).get("name", "").capitalize()
    return told if told == runs else f"{runs} -> {told}"


def compatible(kubectl: Kubectl, name: str = "demo") -> tuple[str, str, str]:
    """Return what an account says of its platform."""
    found = condition(kubectl.get("mt5account", name), "Compatible")
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


def test_a_broker_that_blocks_wine_gets_its_accounts_moved_to_windows_once(
    start: Start, kubectl: Kubectl, windows: Callable[[], None]
) -> None:
    windows()
    operator = start()
    kubectl.apply(secret(), blocked(), blocked("sibling", login=2))

    eventually(lambda: platform(kubectl) == "Windows", timeout_s=120)
    await_reason(kubectl, "Connected")
    eventually(lambda: platform(kubectl, "sibling") == "Windows", timeout_s=60)

    eventually(lambda: "windowsAcceptedAt" in status(kubectl))
    told = status(kubectl)
    assert told["verdict"] == "RequiresWindows"
    assert told["platform"] == "Windows"
    assert "logged in and thrown out" in told["message"]
    assert "Windows accepted at" in told["message"]
    assert criterion(kubectl, "NoWineRejection", "simulator-wineblocked")["state"] == "Failed"
    assert compatible(kubectl)[:2] == ("True", "BrokerRequiresWindows")
    assert "simulator-wineblocked" in compatible(kubectl)[2]

    # New accounts start there, and nothing moves a second time.
    kubectl.apply(blocked("new", login=3))
    await_reason(kubectl, "Connected", "new")
    assert platform(kubectl, "new") == "Windows"
    moved = operator.metric("mt5_operator_platform_moves_total")
    assert moved == 2
    # Counted every few seconds.
    eventually(
        lambda: operator.metric("mt5_operator_broker_verdict", verdict="RequiresWindows") == 1
    )
    assert steady(lambda: platform(kubectl), for_s=3)
    reasons = [event["reason"] for event in kubectl.list("events.events.k8s.io")]
    assert reasons.count("MovedToWindows") == 2
    assert "FreshStart" in reasons
    everywhere = kubectl.within("default").list("events.events.k8s.io")
    about = [e for e in everywhere if e.get("regarding", {}).get("kind") == "MT5Broker"]
    uid = (kubectl.get("mt5broker", "simulator-wineblocked") or {})["metadata"]["uid"]
    notes = [e["note"] for e in about if e["regarding"]["uid"] == uid]
    assert any("-> RequiresWindows" in note for note in notes)

    # A new leader knows what the last one found out.
    operator.kill()
    start(name="operator-1", **QUICK_LEASE)
    assert steady(lambda: (platform(kubectl), status(kubectl)["decidedAt"]), for_s=3)
    listing = kubectl("get", "mt5brokers", "--output=wide")
    print(f"\n{listing}")  # noqa: T201
    assert "RequiresWindows" in listing
    assert "Windows accepted" in listing


@pytest.mark.parametrize(
    ("server", "reason"),
    [("Simulator-BadPassword", "BadCredentials"), ("Simulator-Unreachable", "BrokerUnreachable")],
)
def test_bad_passwords_and_networks_never_move_an_account(
    start: Start, kubectl: Kubectl, windows: Callable[[], None], server: str, reason: str
) -> None:
    windows()
    operator = start()
    kubectl.apply(secret(), account(server=server))
    await_reason(kubectl, reason)
    pod = kubectl.get("pod", "demo-a-0")

    assert steady(lambda: platform(kubectl), for_s=6)

    assert platform(kubectl) == "Linux"
    assert status(kubectl, server.lower())["verdict"] == "Unknown"
    connects = criterion(kubectl, "Connects", server.lower())
    assert connects["state"] == "Pending"
    assert reason in connects["evidence"]
    assert operator.metric("mt5_operator_fresh_starts_total") == 0
    after = kubectl.get("pod", "demo-a-0")
    assert pod is not None
    assert after is not None
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]


def test_a_bad_line_fails_a_criterion_and_moves_nobody(
    start: Start, kubectl: Kubectl, windows: Callable[[], None]
) -> None:
    windows()
    operator = start()
    kubectl.apply(secret(), account(server="Simulator-DropsLink"))
    name = "simulator-dropslink"

    def failed() -> bool:
        # Seconds are whole: a first look that is short makes it a little more or less. The next
        # trial begins soon, and is too early to tell.
        found = criterion(kubectl, "NoDrops", name)
        return found.get("state") == "Failed" and bool(re.search(r"8[3-7]\.", found["evidence"]))

    eventually(failed, timeout_s=60)
    assert steady(lambda: platform(kubectl), for_s=5)

    assert platform(kubectl) == "Linux"
    assert status(kubectl, name)["verdict"] == "Testing"
    assert operator.metric("mt5_operator_fresh_starts_total") == 0


def test_a_trial_that_is_passed_makes_a_broker_compatible_and_lasts(
    start: Start, kubectl: Kubectl
) -> None:
    operator = start()
    kubectl.apply(secret(), account())
    name = "simulator-demo"

    eventually(lambda: status(kubectl, name).get("verdict") == "Testing", timeout_s=60)
    eventually(lambda: status(kubectl, name).get("verdict") == "LinuxCompatible", timeout_s=60)

    told = kubectl.get("mt5broker", name)
    assert told is not None
    assert {c["state"] for c in told["status"]["criteria"]} == {"Passed"}
    assert told["status"]["decidedAt"]
    assert condition(told, "Decided")["status"] == "True"
    assert condition(told, "Decided")["reason"] == "BrokerAcceptsLinux"
    eventually(lambda: compatible(kubectl)[1] == "BrokerAcceptsLinux")
    operator.stop()
    start(name="operator-1")
    assert steady(lambda: status(kubectl, name)["decidedAt"], for_s=3)


def test_a_trial_goes_on_where_the_last_leader_stopped(start: Start, kubectl: Kubectl) -> None:
    operator = start(broker_trial_s=3600)
    kubectl.apply(secret(), account())
    name = "simulator-demo"

    def watched() -> float:
        return float(status(kubectl, name).get("window", {}).get("watchedSeconds", 0))

    eventually(lambda: watched() > 2, timeout_s=60)
    begun = status(kubectl, name)["windowStart"]
    operator.kill()
    before = watched()

    start(broker_trial_s=3600, name="operator-1", **QUICK_LEASE)

    eventually(lambda: watched() > before + 1, timeout_s=60)
    assert status(kubectl, name)["windowStart"] == begun


def test_without_a_windows_node_accounts_stay_and_say_so_and_move_when_one_comes(
    start: Start, kubectl: Kubectl, windows: Callable[[], None]
) -> None:
    start()
    kubectl.apply(secret(), blocked())

    def decided() -> str:
        found = kubectl.get("mt5broker", "simulator-wineblocked")
        return str(condition(found, "Decided").get("reason", ""))

    eventually(lambda: decided() == "NoWindowsNode", timeout_s=120)
    assert "no node can run Windows pods" in status(kubectl)["message"]
    assert status(kubectl)["verdict"] == "Testing"
    assert platform(kubectl) == "Linux"

    windows()

    eventually(lambda: platform(kubectl) == "Windows", timeout_s=120)


def test_a_dry_run_only_reports(
    start: Start, kubectl: Kubectl, windows: Callable[[], None]
) -> None:
    windows()
    operator = start(broker_dry_run=True, broker_fresh_starts=1)
    kubectl.apply(secret(), blocked())
    await_reason(kubectl, "PlatformRejected")
    pod = kubectl.get("pod", "demo-a-0")

    eventually(lambda: status(kubectl).get("verdict") == "RequiresWindows", timeout_s=120)
    eventually(lambda: compatible(kubectl)[:2] == ("False", "MoveHeld"))

    assert "only reports" in compatible(kubectl)[2]
    assert platform(kubectl) == "Linux"
    assert operator.metric("mt5_operator_fresh_starts_total") == 0
    after = kubectl.get("pod", "demo-a-0")
    assert pod is not None
    assert after is not None
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]


def test_whoever_never_wants_to_be_disturbed_stays(
    start: Start, kubectl: Kubectl, windows: Callable[[], None]
) -> None:
    windows()
    start()
    kubectl.apply(secret(), blocked("never", disruption="Never"))
    kubectl.apply(blocked("upgrade", login=2, disruption="OnUpgrade"), blocked(login=3))

    eventually(lambda: platform(kubectl) == "Windows", timeout_s=120)

    for name, words in [("never", "Never"), ("upgrade", "with the next upgrade")]:
        eventually(lambda: compatible(kubectl, name)[1] == "MoveHeld")  # noqa: B023 - awaited here
        assert words in compatible(kubectl, name)[2]
        assert platform(kubectl, name) == "Linux"
    kubectl.patch("mt5account", "upgrade", {"spec": {"resources": {"requests": {"cpu": "30m"}}}})
    eventually(lambda: platform(kubectl, "upgrade") == "Windows", timeout_s=60)
    assert platform(kubectl, "never") == "Linux"


def test_accounts_move_back_once_when_windows_fails_alike(
    start: Start, kubectl: Kubectl, windows: Callable[[], None], servers: StubBrokers
) -> None:
    windows()
    servers.servers["Simulator-WineBlocked"] = stub_brokers.blocked
    start()
    kubectl.apply(secret(), blocked())

    eventually(lambda: status(kubectl).get("verdict") == "RequiresWindows", timeout_s=120)
    eventually(lambda: "movedBackAt" in status(kubectl), timeout_s=120)
    eventually(lambda: platform(kubectl) == "Linux", timeout_s=120)

    told = kubectl.get("mt5broker", "simulator-wineblocked")
    assert condition(told, "Decided")["reason"] == "WindowsFailedAlike"
    assert steady(lambda: platform(kubectl) == "Linux", for_s=6)


def test_a_broker_written_by_hand_is_adopted_and_its_pin_wins(
    start: Start, kubectl: Kubectl, windows: Callable[[], None]
) -> None:
    windows()
    kubectl.apply(broker("by-hand", ["Simulator-*"], platform="Windows"))
    start()

    kubectl.apply(secret(), account(), account("linux", login=2, brokerCompatibility="Linux"))
    await_reason(kubectl, "Connected")
    await_reason(kubectl, "Connected", "linux")

    assert platform(kubectl) == "Windows"
    assert compatible(kubectl)[1] == "ChosenByBroker"
    assert platform(kubectl, "linux") == "Linux"
    assert compatible(kubectl, "linux")[1] == "ChosenByUser"
    assert kubectl.get("mt5broker", "simulator-demo") is None
    eventually(
        lambda: (
            condition(kubectl.get("mt5broker", "by-hand"), "Decided").get("reason")
            == "ChosenByBroker"
        )
    )

    # A more specific one takes over, and its accounts move at once: a person said so.
    kubectl.apply(broker("specific", ["Simulator-Demo"], platform="Linux"))
    eventually(lambda: platform(kubectl) == "Linux", timeout_s=60)


def test_of_two_brokers_that_fit_alike_the_older_counts_and_both_say_so(
    start: Start, kubectl: Kubectl
) -> None:
    kubectl.apply(broker("zoe", ["Simulator-D*"]))
    eventually(lambda: kubectl.get("mt5broker", "zoe"))
    start()
    kubectl.apply(secret(), account())
    await_reason(kubectl, "Connected")
    # Times of creation are in whole seconds; of two equal ones the name counts.
    kubectl.apply(broker("zz-top", ["simulator-d*"]))

    def overlapping(name: str) -> str:
        found = condition(kubectl.get("mt5broker", name), "Overlapping")
        return str(found.get("message", ""))

    told = "Simulator-Demo: zoe counts, not zz-top"
    for name in ("zoe", "zz-top"):
        eventually(lambda: told in overlapping(name), timeout_s=60)  # noqa: B023 - awaited here
    kubectl.delete("mt5broker", "zz-top")
    eventually(lambda: not overlapping("zoe"), timeout_s=60)


@pytest.fixture
def another(plane: ControlPlane, kubectl: Kubectl) -> Iterator[tuple[Kubectl, Operator]]:
    """Return another installation in the same cluster; it has a namespace of its own."""
    place = plane.kubectl.within(f"{kubectl.namespace[:50]}-other")
    place("create", "namespace", place.namespace)
    stub = SidecarStub()
    stub.says = StubBrokers(place)
    stub.start()
    with running_redis() as redis:
        operator = Operator(
            plane.kubeconfig,
            place.namespace,
            redis_url=redis.url,
            sidecar=stub.address,
            # Three of them without a word: the first one is taken for gone.
            **{**SHORT, "broker_status_s": 5},
        )
        yield place, operator
        operator.stop()
    stub.stop()
    let_go = '{"metadata": {"finalizers": null}}'
    place("patch", "mt5account", "theirs", "--type=merge", "--patch", let_go)
    place("delete", "namespace", place.namespace, "--wait=false")


def test_of_two_installations_one_reviews_a_broker_and_neither_undoes_the_others_words(
    start: Start, kubectl: Kubectl, another: tuple[Kubectl, Operator]
) -> None:
    within, other = another
    kubectl.apply(broker("zoe", ["Simulator-D*"]), broker("zz-top", ["simulator-d*"]))
    operator = start()
    kubectl.apply(secret(), account())
    eventually(lambda: status(kubectl, "zoe").get("verdict") == "LinuxCompatible", timeout_s=60)
    ours = status(kubectl, "zoe")["reviewer"]

    other.lead()
    within.apply(secret(), account("theirs", login=7))
    await_reason(within, "Connected", "theirs")

    assert compatible(within, "theirs")[1] == "BrokerAcceptsLinux"
    assert steady(lambda: condition(kubectl.get("mt5broker", "zoe"), "Overlapping"), for_s=3)
    assert condition(kubectl.get("mt5broker", "zoe"), "Overlapping")
    assert status(kubectl, "zoe")["reviewer"] == ours
    assert not [line for line in other.writes_by_kind() if "MT5Broker" in line]

    operator.stop()
    eventually(lambda: status(kubectl, "zoe")["reviewer"] != ours, timeout_s=60)
    assert status(kubectl, "zoe")["verdict"] == "LinuxCompatible"


def test_a_pinned_account_alone_makes_no_broker(start: Start, kubectl: Kubectl) -> None:
    start()
    kubectl.apply(secret(), account(brokerCompatibility="Linux"))
    await_reason(kubectl, "Connected")

    assert kubectl.list("mt5brokers") == []
    kubectl.patch("mt5account", "demo", {"spec": {"brokerCompatibility": "Auto"}})
    eventually(lambda: kubectl.get("mt5broker", "simulator-demo"))


def test_knowledge_outlives_its_accounts(start: Start, kubectl: Kubectl) -> None:
    start()
    kubectl.apply(secret(), account())
    eventually(
        lambda: status(kubectl, "simulator-demo").get("verdict") == "LinuxCompatible", timeout_s=30
    )

    kubectl.delete("mt5account", "demo")

    assert steady(lambda: status(kubectl, "simulator-demo").get("verdict"), for_s=2)
    assert status(kubectl, "simulator-demo")["verdict"] == "LinuxCompatible"


def broker(name: str, servers: list[Any], **spec: Any) -> dict[str, Any]:
    """Return a broker as a person writes it."""
    return {
        "apiVersion": "mt5bridge.io/v1alpha1",
        "kind": "MT5Broker",
        "metadata": {"name": name},
        "spec": {"servers": servers, **spec},
    }


@pytest.mark.parametrize(
    ("servers", "spec", "words"),
    [
        ([], {}, "spec.servers"),
        (["A**B"], {}, "only * stands for any characters"),
        (["A?"], {}, "only * stands for any characters"),
        (["A[1]"], {}, "only * stands for any characters"),
        ([" A"], {}, "must not begin or end with a space"),
        (["A", "A"], {}, "spec.servers[1]"),
        (["A"], {"platform": "Mac"}, '"Auto", "Linux", "Windows"'),
        (["A"], {"trial": {"duration": "7 days"}}, "such as 168h, 90m or 1h30m"),
        (["A"], {"trial": {"duration": "0s"}}, "and not zero"),
        (["A"], {"trial": {"minUptime": "99%"}}, 'such as "0.99"'),
        (["A"], {"trial": {"minUptime": "1.1"}}, 'such as "0.99"'),
        (["A"], {"trial": {"maxDropsPerHour": -1}}, "maxDropsPerHour"),
        (["A"], {"tirial": {}}, 'unknown field "spec.tirial"'),
    ],
)
def test_a_wrong_broker_is_refused_with_words_that_say_what_to_do(
    plane: ControlPlane, servers: list[Any], spec: dict[str, Any], words: str
) -> None:
    with pytest.raises(CommandFailed) as refused:
        plane.kubectl.apply(broker("wrong", servers, **spec))

    assert words in str(refused.value)


def test_a_full_broker_is_accepted(plane: ControlPlane) -> None:
    trial = {"duration": "1h30m", "minUptime": "0.995", "maxDropsPerHour": 5}

    plane.kubectl.apply(broker("full", ["ICMarkets*-Demo*", "*"], platform="Auto", trial=trial))

    assert plane.kubectl.get("mt5broker", "full")
    plane.kubectl.apply_file(REPOSITORY / "docs" / "samples" / "brokers.yaml")
