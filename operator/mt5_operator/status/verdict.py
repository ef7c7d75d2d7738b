# SPDX-License-Identifier: Apache-2.0
"""Say what an account's state is: the first thing in the way, in the order of causes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from mt5_operator.capacity import for_its_volume
from mt5_operator.names import volume_claim
from mt5_operator.reasons import Reason, known
from mt5_operator.status.crash import Crash
from mt5_operator.status.seen import Podless, PodSeen, Seen, SidecarSeen, image_trouble


class Verdict(NamedTuple):
    """A reason and what to tell a person about it."""

    reason: Reason
    message: str


def link(seen: Seen) -> Verdict:
    """Return whether clients could be served, leaving the route aside; Connected if so."""
    for look in _LOOKS:
        if verdict := look(seen):
            return verdict
    return Verdict(Reason.CONNECTED, _well(seen))


def _well(seen: Seen) -> str:
    # What a sidecar says beside it: that the account is too large to be shown whole.
    said = seen.sidecar.message if seen.sidecar else ""
    refused = "trades are refused: see the condition JournalFault" if journal_fault(seen) else ""
    return "; ".join(filter(None, ["logged in and synchronised", said, refused]))


def journal_fault(seen: Seen) -> str:
    """Return what to tell of an order journal that cannot be used; empty where it can."""
    if seen.sidecar is None or not seen.sidecar.journal:
        return ""
    return (
        f"trades are refused, and reads go on: {seen.sidecar.journal}; what to do is in"
        ' docs/runbooks.md, "Trades are refused"'
    )


def serving(seen: Seen) -> Verdict:
    """Return what `link` does, but for what only keeps changes from being made.

    A pod that serves, serves: neither a wrong or misspelt field nor a refused write takes it off
    the air.
    """
    unhindered = link(replace(seen, invalid="", unknown_fields=(), workload_problem=""))
    nothing_runs = seen.pod is None and unhindered.reason is not Reason.SUSPENDED
    return link(seen) if nothing_runs else unhindered


def ready(seen: Seen) -> Verdict:
    """Return whether clients are served; Connected if so."""
    verdict = link(seen)
    if verdict.reason is Reason.CONNECTED and seen.route.problem:
        return Verdict(Reason.ROUTE_STORE_UNAVAILABLE, seen.route.problem)
    return verdict


def _spec(seen: Seen) -> Verdict | None:
    if seen.invalid:
        return Verdict(Reason.INVALID_SPEC, f"correct the spec: {seen.invalid}")
    if seen.unknown_fields:
        fields = ", ".join(seen.unknown_fields)
        return Verdict(
            Reason.UNKNOWN_FIELD,
            f"no such field: {fields}; correct or remove it (changes wait until then)",
        )
    if seen.conflict:
        return Verdict(Reason.ACCOUNT_ID_CONFLICT, seen.conflict)
    if seen.quota:
        return Verdict(Reason.QUOTA_EXCEEDED, seen.quota)
    return None


def _workload(seen: Seen) -> Verdict | None:
    if seen.suspended:
        return Verdict(Reason.SUSPENDED, "spec.suspend is true: no pod runs")
    if seen.name_taken and seen.pod is None:
        return Verdict(Reason.NAME_TAKEN, _taken(seen.name_taken))
    if seen.workload_problem:
        return Verdict(Reason.WORKLOAD_REFUSED, seen.workload_problem)
    return None


def _taken(what: str) -> str:
    return (
        f"{what} has the name of what this account would have, and belongs to an account of that"
        " name before, or to nobody; this account begins when it is gone. What a deleted account"
        " had is removed; what stays longer than a pod takes to end is nobody's: delete it by hand"
    )


def _secret(seen: Seen) -> Verdict | None:
    # A terminal that is logged in does not need its Secret before the next login.
    if seen.secret_problem and not _serves(seen):
        return Verdict(Reason.SECRET_MISSING, seen.secret_problem)
    return None


def _pod(seen: Seen) -> Verdict | None:
    pod = seen.pod
    if pod is None:
        told = "; ".join(filter(None, [seen.no_capacity, seen.place]))
        if told:
            return Verdict(Reason.NO_CAPACITY, told)
        if seen.podless:
            refused = seen.podless.refused
            reason = Reason.WORKLOAD_REFUSED if refused else Reason.POD_STARTING
            return Verdict(reason, _no_pod(seen.podless))
        return Verdict(Reason.POD_STARTING, "the pod is starting")
    # With a place in line it waits, also while the scheduler has not answered its turn yet.
    if not pod.node and (seen.no_capacity or seen.place or pod.unschedulable):
        if not seen.no_capacity and for_its_volume(pod.unschedulable):
            return Verdict(Reason.VOLUME_UNAVAILABLE, _no_volume(pod))
        scheduler = f"scheduler: {pod.unschedulable}" if pod.unschedulable else ""
        told = "; ".join(filter(None, [seen.no_capacity, seen.place, scheduler]))
        return Verdict(Reason.NO_CAPACITY, told)
    if pod.crash and not pod.ending and not _serves(seen):
        return Verdict(Reason.POD_CRASHING, _crashes(pod.name, pod.crash))
    return _containers(pod, overdue=seen.overdue)


def _crashes(pod: str, crash: Crash) -> str:
    # The same words while it waits and while it runs again.
    how = f", last by {crash.how}" if crash.how else ""
    look = f"kubectl logs {pod} -c {crash.container} --previous"
    return f"container {crash.container} ends again and again{how}; see why with: {look}"


def _no_pod(podless: Podless) -> str:
    stateful_set = podless.stateful_set
    if not podless.taken_up:
        return (
            "Kubernetes has not begun with the pod, and tells nobody why; see why with: kubectl"
            f" describe resourcequota (one of count/controllerrevisions.apps keeps StatefulSet"
            f" {stateful_set} from being taken up; if no StatefulSet gets pods,"
            " kube-controller-manager is away or behind)"
        )
    return (
        f"Kubernetes makes no pod for StatefulSet {stateful_set}: most likely a quota of the"
        " namespace or an admission webhook refuses the pod or its volume's claim; see it with:"
        f" kubectl describe statefulset {stateful_set}"
    )


def _no_volume(pod: PodSeen) -> str:
    claim = volume_claim(pod.name)
    return (
        f"the pod waits for its volume; see why with: kubectl describe pvc {claim} (is"
        f" spec.storage.storageClassName right?); scheduler: {pod.unschedulable}"
    )


def _containers(pod: PodSeen, *, overdue: bool) -> Verdict | None:
    said = f"; Kubernetes says: {pod.ended_by}" if pod.ended_by else ""
    if pod.phase == "Failed" and said:
        return Verdict(Reason.POD_CRASHING, f"the pod was ended, and another one is made{said}")
    if pod.ending and not pod.lost:
        return Verdict(Reason.POD_STARTING, f"the pod is being replaced{said}")
    word, message = pod.waiting
    if word:
        if image_trouble(word):
            return Verdict(Reason.IMAGE_PULL_FAILED, f"{word}: {message}")
        look = f"kubectl describe pod {pod.name}"
        return Verdict(Reason.POD_CRASHING, f"{word}: {message}; see why with: {look}")
    if pod.phase != "Running" or not pod.ip:
        look = f" for long; see why with: kubectl describe pod {pod.name}" if overdue else ""
        return Verdict(Reason.POD_STARTING, f"the pod is starting{look}")
    return None


def _terminal(seen: Seen) -> Verdict | None:
    sidecar, pod = seen.sidecar, seen.pod
    if pod is None or _serves(seen):
        return None
    if sidecar is None or sidecar.error:
        return _silent(pod, sidecar)
    if sidecar.connected:
        return Verdict(Reason.CONNECTING, "logged in; waiting for the pod to be found ready")
    if sidecar.reason == Reason.AGENT_MISSING and not seen.overdue:
        return Verdict(Reason.CONNECTING, "the terminal starts and logs in")
    return _told(seen, sidecar)


def _silent(pod: PodSeen, sidecar: SidecarSeen | None) -> Verdict:
    if pod.lost:
        return Verdict(Reason.NODE_LOST, _lost(pod))
    if sidecar is None or not pod.sidecar_started:
        return Verdict(Reason.POD_STARTING, "the pod is starting")
    return Verdict(Reason.SIDECAR_UNREACHABLE, sidecar.error)


def _lost(pod: PodSeen) -> str:
    taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
    return (
        f"neither node {pod.node} nor the account's sidecar there answers; they may still run and"
        " trade, so nothing else does. It goes on by itself when the node is back; once you know"
        f" that the machine is off: kubectl taint nodes {pod.node} {taint}"
    )


def _words(reason: Reason, seen: Seen, sidecar: SidecarSeen) -> str:
    # The sidecar does not know where its password comes from; who has to correct it must.
    told = sidecar.message or reason.value
    if reason is Reason.BAD_CREDENTIALS and seen.secret:
        return f"{told} ({seen.secret})"
    if reason is Reason.SECRET_MISSING and seen.secret:  # else `_secret` had told what is wrong
        late = "its node brings it within 90 s, or the sidecar's log says why not"
        return f"{seen.secret} is there, but not in the pod yet: {late}"
    return told


def _told(seen: Seen, sidecar: SidecarSeen) -> Verdict:
    if sidecar.reason:
        reason = known(sidecar.reason)
        if reason is None:
            raw = f"the sidecar says {sidecar.reason!r}: {sidecar.message}"
            return Verdict(Reason.UNKNOWN, raw)
        return Verdict(reason, _words(reason, seen, sidecar))
    if sidecar.state in _STARTING:
        return Verdict(Reason.CONNECTING, "the terminal starts and logs in")
    return Verdict(Reason.DISCONNECTED, sidecar.message or f"the terminal is {sidecar.state}")


def _serves(seen: Seen) -> bool:
    # The kubelet's word counts while the sidecar's is not there: it asks the same question.
    if seen.pod is None:
        return False
    if seen.pod.lost:
        # Nobody asks the pod but us; it is taken off the air when it does not answer us either.
        return seen.sidecar is not None and not seen.sidecar.error and seen.sidecar.connected
    if not seen.pod.ready:
        return False
    return seen.sidecar is None or bool(seen.sidecar.error) or seen.sidecar.connected


_STARTING: Final = ("AgentMissing", "TerminalStarting", "LoggingIn")
_LOOKS: Final[tuple[Callable[[Seen], Verdict | None], ...]] = (
    _spec,
    _workload,
    _secret,
    _pod,
    _terminal,
)
