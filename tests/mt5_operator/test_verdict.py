# SPDX-License-Identifier: Apache-2.0
"""Status is computed from what was seen: one row per sight."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from cluster.paths import REPOSITORY
from mt5_operator.reasons import Reason
from mt5_operator.spec.account import Platform
from mt5_operator.spec.status import LastMove
from mt5_operator.status import conditions
from mt5_operator.status.crash import Crash
from mt5_operator.status.seen import (
    Podless,
    PodSeen,
    RouteSeen,
    Seen,
    SidecarSeen,
    Updating,
    pod_seen,
)
from mt5_operator.status.verdict import link, ready

POD = PodSeen("u", ip="10.0.0.1", node="n", phase="Running", ready=True, sidecar_started=True)
STARTED = replace(POD, ready=False)
UP = SidecarSeen("Connected", credentials="Valid")
WELL = Seen(3, "1", Platform.LINUX, pod=POD, sidecar=UP, route=RouteSeen(published=True))
BAD = SidecarSeen("Refused", "BadCredentials", "no", "Invalid")

UNMOUNTED = SidecarSeen("LoggingIn", "SecretMissing", "create the Secret", "Missing")

CRASH = Crash("terminal", "Error (1)")

UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."

ROWS: list[tuple[str, Seen, Reason]] = [
    ("all is well", WELL, Reason.CONNECTED),
    ("wrong spec first", replace(WELL, invalid="x", conflict="y"), Reason.INVALID_SPEC),
    ("unknown field", replace(WELL, unknown_fields=("spec.x",)), Reason.UNKNOWN_FIELD),
    ("conflict", replace(WELL, conflict="x"), Reason.ACCOUNT_ID_CONFLICT),
    ("suspended", replace(WELL, suspended=True), Reason.SUSPENDED),
    ("refused workload", replace(WELL, workload_problem="quota"), Reason.WORKLOAD_REFUSED),
    ("a lost Secret harms no login", replace(WELL, secret_problem="gone"), Reason.CONNECTED),
    ("no Secret", replace(WELL, secret_problem="x", sidecar=BAD), Reason.SECRET_MISSING),
    ("no pod", replace(WELL, pod=None, sidecar=None), Reason.POD_STARTING),
    ("no pod, no node", replace(WELL, pod=None, no_capacity="x"), Reason.NO_CAPACITY),
    (
        "its turn in line, not answered yet",
        replace(WELL, pod=PodSeen("u"), place="place 1"),
        Reason.NO_CAPACITY,
    ),
    ("unscheduled", replace(WELL, pod=PodSeen("u", unschedulable="full")), Reason.NO_CAPACITY),
    ("pending", replace(WELL, pod=PodSeen("u")), Reason.POD_STARTING),
    ("refused", replace(WELL, pod=None, podless=Podless("demo-a")), Reason.WORKLOAD_REFUSED),
    (
        "not taken up",
        replace(WELL, pod=None, podless=Podless("demo-a", taken_up=False, refused=False)),
        Reason.POD_STARTING,
    ),
    ("unbound", replace(WELL, pod=PodSeen("u", unschedulable=UNBOUND)), Reason.VOLUME_UNAVAILABLE),
    ("ending", replace(WELL, pod=replace(POD, ending=True, ready=False)), Reason.POD_STARTING),
    (
        "no image",
        replace(WELL, pod=replace(STARTED, waiting=("ErrImagePull", "x"))),
        Reason.IMAGE_PULL_FAILED,
    ),
    (
        "crash",
        replace(WELL, pod=replace(STARTED, crash=CRASH)),
        Reason.POD_CRASHING,
    ),
    (
        "crashed, and serves by now",
        replace(WELL, pod=replace(POD, crash=CRASH)),
        Reason.CONNECTED,
    ),
    (
        "evicted",
        replace(WELL, pod=replace(STARTED, phase="Failed", ended_by="Evicted: x")),
        Reason.POD_CRASHING,
    ),
    (
        "crashes, and is just being replaced",
        replace(WELL, pod=replace(STARTED, crash=CRASH, ending=True)),
        Reason.POD_STARTING,
    ),
    (
        "silent while starting",
        replace(WELL, pod=replace(STARTED, sidecar_started=False), sidecar=SidecarSeen(error="x")),
        Reason.POD_STARTING,
    ),
    (
        "silent",
        replace(WELL, pod=STARTED, sidecar=SidecarSeen(error="x")),
        Reason.SIDECAR_UNREACHABLE,
    ),
    (
        "silent to us, ready to the kubelet",
        replace(WELL, sidecar=SidecarSeen(error="x")),
        Reason.CONNECTED,
    ),
    (
        "its node is lost, and it serves",
        replace(WELL, pod=replace(STARTED, lost=True)),
        Reason.CONNECTED,
    ),
    (
        "its node is lost, which cannot end it, and it serves",
        replace(WELL, pod=replace(STARTED, lost=True, ending=True)),
        Reason.CONNECTED,
    ),
    (
        "its node is lost, and nobody answers",
        replace(WELL, pod=replace(POD, lost=True), sidecar=SidecarSeen(error="x")),
        Reason.NODE_LOST,
    ),
    ("logging in", replace(WELL, pod=STARTED, sidecar=SidecarSeen("LoggingIn")), Reason.CONNECTING),
    ("not yet found ready", replace(WELL, pod=STARTED), Reason.CONNECTING),
    ("refused", replace(WELL, pod=STARTED, sidecar=BAD), Reason.BAD_CREDENTIALS),
    (
        "agent not there yet",
        replace(WELL, pod=STARTED, sidecar=SidecarSeen("AgentMissing", "AgentMissing")),
        Reason.CONNECTING,
    ),
    (
        "agent overdue",
        replace(
            WELL, pod=STARTED, overdue=True, sidecar=SidecarSeen("AgentMissing", "AgentMissing")
        ),
        Reason.AGENT_MISSING,
    ),
    ("lost", replace(WELL, pod=STARTED, sidecar=SidecarSeen("Disconnected")), Reason.DISCONNECTED),
    ("new word", replace(WELL, sidecar=SidecarSeen("Refused", "Moon")), Reason.UNKNOWN),
    ("no route", replace(WELL, route=RouteSeen(problem="x")), Reason.ROUTE_STORE_UNAVAILABLE),
]


@pytest.mark.parametrize(("seen", "reason"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_the_first_thing_in_the_way_is_told(seen: Seen, reason: Reason) -> None:
    assert ready(seen).reason is reason


@pytest.mark.parametrize("seen", [r[1] for r in ROWS], ids=[r[0] for r in ROWS])
def test_conditions_are_correct_by_kstatus(seen: Seen) -> None:
    found = {item["type"]: item for item in conditions.conditions(seen)}

    good = found["Ready"]["status"] == "True"
    assert not (good and ({"Stalled", "Reconciling", "Suspended"} & set(found)))
    assert good or len({"Stalled", "Reconciling", "Suspended"} & set(found)) == 1
    assert all(item["observedGeneration"] == 3 for item in found.values())
    assert all(
        item["status"] == "True"
        for kind, item in found.items()
        if kind in ("Stalled", "Reconciling")
    )


def test_the_platform_is_the_one_it_runs_on_until_it_has_moved() -> None:
    moving = replace(WELL, platform=Platform.WINDOWS, pod=replace(POD, platform="Linux"))
    new = replace(WELL, platform=Platform.WINDOWS, pod=None)

    told = [conditions.status(seen, previous={}, now="t")["platform"] for seen in (moving, new)]

    assert told == ["Linux", "Windows"]


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = conditions.status(WELL, previous={}, now="t1")
    bad = replace(WELL, pod=STARTED, sidecar=BAD)

    second = conditions.status(bad, previous=first, now="t2")

    times = {item["type"]: item["lastTransitionTime"] for item in second["conditions"]}
    assert times["Ready"] == times["Stalled"] == times["CredentialsValid"] == "t2"
    assert times["Compatible"] == "t1"


def test_times_alone_mean_nothing() -> None:
    first = conditions.status(WELL, previous={}, now="t1")

    assert not conditions.differs(conditions.status(WELL, previous={}, now="t2"), first)
    assert conditions.differs(
        conditions.status(replace(WELL, generation=4), previous=first, now="t1"), first
    )


def test_a_write_can_be_explained_by_what_changed() -> None:
    first = conditions.status(WELL, previous={}, now="t1")
    other = replace(WELL, sidecar=SidecarSeen("Connected", credentials="Unknown"), image="new:1")

    changed = conditions.differences(conditions.status(other, previous=first, now="t2"), first)

    parts = [f"conditions.CredentialsValid.{part}" for part in ("message", "reason", "status")]
    assert changed == [*parts, "image"]
    assert not conditions.differences(first, first)


def test_a_lost_secret_is_told_by_its_own_condition_while_the_terminal_works() -> None:
    seen = replace(WELL, secret_problem="Secret x does not exist")

    found = {item["type"]: item for item in conditions.conditions(seen)}

    assert found["Ready"]["status"] == "True"
    assert found["CredentialsValid"]["status"] == "False"
    assert found["CredentialsValid"]["reason"] == "SecretMissing"


def test_a_pod_is_read_as_the_kubelet_tells_it() -> None:
    pod = {
        "metadata": {
            "uid": "u",
            "name": "demo-a-0",
            "creationTimestamp": "2026-11-21T10:00:00Z",
        },
        "spec": {"nodeName": "n"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "t"}],
            "initContainerStatuses": [{"name": "sidecar", "started": True, "state": {}}],
            "containerStatuses": [
                {
                    "name": "terminal",
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "m"}},
                    "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                }
            ],
        },
    }

    seen = pod_seen(pod)

    assert seen.crash == Crash("terminal", "OOMKilled (137)")
    assert seen.sidecar_started
    assert not seen.ready
    assert link(replace(WELL, pod=seen)).message == (
        "container terminal ends again and again, last by OOMKilled (137); see why with:"
        " kubectl logs demo-a-0 -c terminal --previous"
    )


EVICTED = "Evicted: The node was low on resource: memory."


def test_who_ended_a_pod_is_read_from_it() -> None:
    meta = {"uid": "u", "name": "demo-a-0", "creationTimestamp": "2026-11-21T10:00:00Z"}
    target = {
        "type": "DisruptionTarget",
        "reason": "PreemptionByScheduler",
        "message": "preempting",
    }

    def ended_by(**status: Any) -> str:
        return pod_seen({"metadata": meta, "status": status}).ended_by

    low = {"reason": "Evicted", "message": "The node was low on resource: memory."}
    assert ended_by(phase="Failed", **low) == EVICTED
    assert ended_by(conditions=[target | {"status": "True"}]) == "PreemptionByScheduler: preempting"
    assert ended_by(conditions=[target | {"status": "False"}]) == ended_by(phase="Running") == ""


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (
            replace(WELL, pod=replace(STARTED, phase="Failed", ended_by=EVICTED, ending=True)),
            f"the pod was ended, and another one is made; Kubernetes says: {EVICTED}",
        ),
        (
            replace(WELL, pod=replace(STARTED, ended_by="Preempted: x", ending=True)),
            "the pod is being replaced; Kubernetes says: Preempted: x",
        ),
        (replace(WELL, pod=None, podless=Podless("demo-a")), "quota"),
        (replace(WELL, pod=None, podless=Podless("x", taken_up=False)), "controllerrevisions.apps"),
        (replace(WELL, secret="Secret s, key p", sidecar=UNMOUNTED), "Secret s, key p is there"),
        (replace(WELL, pod=None, podless=Podless("demo-a")), "kubectl describe statefulset demo-a"),
        (
            replace(WELL, pod=PodSeen("u", "demo-a-0", unschedulable=UNBOUND)),
            "kubectl describe pvc data-demo-a-0 ",
        ),
        (
            replace(WELL, pod=PodSeen("u", "demo-a-0", unschedulable=UNBOUND)),
            "storageClassName",
        ),
        (
            replace(WELL, pod=PodSeen("u", "demo-a-0", node="n"), sidecar=None, overdue=True),
            "kubectl describe pod demo-a-0",
        ),
        (
            replace(
                WELL,
                pod=replace(STARTED, name="x-b-0", waiting=("CreateContainerConfigError", "t: m")),
            ),
            "kubectl describe pod x-b-0",
        ),
    ],
)
def test_what_a_person_has_to_look_at_is_named(seen: Seen, told: str) -> None:
    assert told in ready(seen).message


def test_what_is_full_is_not_called_a_volume() -> None:
    full = "1 Insufficient memory, 1 node(s) had volume node affinity conflict."

    assert ready(replace(WELL, pod=PodSeen("u", unschedulable=full))).reason is Reason.NO_CAPACITY
    nowhere = replace(WELL, no_capacity="no node", pod=PodSeen("u", unschedulable=UNBOUND))
    assert ready(nowhere).reason is Reason.NO_CAPACITY


def told(seen: Seen) -> dict[str, str]:
    return {item["type"]: item["message"] for item in conditions.conditions(seen)}


def test_what_a_person_should_know_of_a_served_account_is_a_condition_of_its_own() -> None:
    warned = replace(UP, no_trading="an investor password", selftest="fonts (missing)")

    seen = replace(WELL, sidecar=warned)

    assert ready(seen).reason is Reason.CONNECTED
    assert told(seen)["AlgoTradingDisabled"] == "an investor password"
    assert told(seen)["SelfTestFailed"] == "fonts (missing)"
    assert not {"AlgoTradingDisabled", "SelfTestFailed"} & told(WELL).keys()
    # A terminal that is not connected says nothing of rights; a suspended account nothing at all.
    away = replace(warned, state="Disconnected")
    assert told(replace(seen, sidecar=away)).keys() >= {"SelfTestFailed"}
    assert "AlgoTradingDisabled" not in told(replace(seen, sidecar=away))
    assert "SelfTestFailed" not in told(replace(seen, suspended=True))


def test_a_journal_that_cannot_be_used_is_told_and_keeps_nobody_off_the_air() -> None:
    seen = replace(WELL, sidecar=replace(UP, journal="journal-failed: disk is full"))

    verdict = ready(seen)

    assert verdict.reason is Reason.CONNECTED
    assert "trades are refused, and reads go on: journal-failed: disk" in told(seen)["JournalFault"]
    assert "runbooks.md" in told(seen)["JournalFault"]
    assert verdict.message.endswith("trades are refused: see the condition JournalFault")
    assert "refused" not in ready(WELL).message
    # Nor is it forgotten while the terminal is away.
    away = replace(seen, sidecar=replace(BAD, journal="journal-failed: disk is full"))
    assert told(away).keys() >= {"JournalFault"}
    assert "JournalFault" not in told(replace(seen, suspended=True))


def test_what_a_sidecar_says_of_an_account_that_is_connected_is_told_with_it() -> None:
    large = replace(UP, message="the account has more positions than can be shown")

    verdict = ready(replace(WELL, sidecar=large))

    assert verdict == (Reason.CONNECTED, f"{ready(WELL).message}; {large.message}")


def test_the_types_of_conditions_are_documented_and_no_other() -> None:
    warned = replace(UP, no_trading="off", selftest="fonts", journal="journal-busy: x")
    seens = [
        WELL,
        replace(WELL, sidecar=warned),
        replace(WELL, updating=Updating(now=True, reason=Reason.MOVING, message="moves")),
        *(seen for _, seen, _ in ROWS),
    ]
    text = (REPOSITORY / "docs" / "reasons.md").read_text()
    paragraph = re.search(r"^Conditions: (.+?)\n\n", text, re.MULTILINE | re.DOTALL)

    assert paragraph
    assert set(re.findall(r"`(\w+)`", paragraph[1])) == {
        item["type"] for seen in seens for item in conditions.conditions(seen)
    }


def test_how_a_move_ended_is_told_in_the_words_of_earlier_versions_where_nothing_is_new() -> None:
    # Else an operator upgrade would write the status of every account that ever moved.
    before = {"goal": "g", "outcome": "Failed", "at": "2026-11-21T10:00:00Z", "failures": 1}
    before |= {"message": "m"}
    seen = replace(WELL, last_move=LastMove.model_validate(before))

    assert conditions.status(seen, previous={}, now="now")["lastMove"] == before
