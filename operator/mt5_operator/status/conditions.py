# SPDX-License-Identifier: Apache-2.0
"""The status of an account: a pure function of what was seen, written only when it means more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mt5_operator.healing import as_status
from mt5_operator.reasons import NEEDS_A_PERSON, Reason
from mt5_operator.spec.parse import Manifest
from mt5_operator.spec.status import LastMove, Move, Trader
from mt5_operator.status.seen import Seen
from mt5_operator.status.verdict import Verdict, journal_fault, ready, serving

Condition = dict[str, Any]


def status(seen: Seen, *, previous: Manifest, now: str) -> Manifest:
    """Return the status that `seen` amounts to; unchanged conditions keep their time."""
    before = {item["type"]: item for item in previous.get("conditions", [])}
    told: Manifest = {
        "observedGeneration": seen.generation,
        "accountId": seen.account_id or None,
        "idHeld": seen.id_held or None,
        "platform": _runs_on(seen),
        "slot": seen.slot or None,
        # Not before it runs: a node alone is not worth a write.
        "node": seen.pod.node if seen.pod and seen.pod.phase == "Running" else None,
        "image": seen.image or None,
        "healing": as_status(seen.healing),
    }
    told |= {"trader": _plain(seen.trader), "move": _plain(seen.move)}
    told |= {"lastMove": _plain(seen.last_move)}
    told = {name: value for name, value in told.items() if value is not None}
    found = [dated(item, before.get(item["type"]), now) for item in conditions(seen)]
    return told | {"conditions": found}


def _runs_on(seen: Seen) -> str | None:
    # While an account moves to another platform it still runs on the old one.
    if seen.pod and seen.pod.platform:
        return seen.pod.platform
    return seen.platform.value if seen.platform else None


def conditions(seen: Seen) -> list[Condition]:
    """Return the conditions, without times."""
    verdict = ready(seen)
    good = verdict.reason is Reason.CONNECTED
    found = [
        _condition(seen, "Ready", good, verdict),
        _condition(seen, "PodReady", bool(seen.pod and seen.pod.ready), _pod(seen)),
        _condition(seen, "Connected", serving(seen).reason is Reason.CONNECTED, serving(seen)),
        _condition(seen, "CredentialsValid", _accepted(seen), _credentials(seen)),
        _condition(seen, "RouteReady", seen.route.published, _route(seen)),
        _condition(seen, "Compatible", _compatible(seen), _compatibility(seen)),
    ]
    return found + _updating(seen) + _warnings(seen) + _only_when_true(seen, verdict)


def _plain(part: Trader | Move | LastMove | None) -> Manifest | None:
    return part.model_dump(by_alias=True, exclude_none=True) if part else None


def _updating(seen: Seen) -> list[Condition]:
    """Only where there is something to update."""
    found = seen.updating
    if found is None:
        return []
    return [_condition(seen, "Updating", found.now, Verdict(found.reason, found.message))]


def _warnings(seen: Seen) -> list[Condition]:
    """What does not keep the account from being served, and a person should know."""
    sidecar = seen.sidecar if not seen.suspended else None
    if sidecar is None:
        return []
    told = {
        Reason.ALGO_TRADING_DISABLED: sidecar.no_trading if sidecar.connected else "",
        Reason.SELF_TEST_FAILED: sidecar.selftest,
        Reason.JOURNAL_FAULT: journal_fault(seen),
    }
    return [
        _condition(seen, reason.value, True, Verdict(reason, message))  # noqa: FBT003 - the value itself
        for reason, message in told.items()
        if message
    ]


def _only_when_true(seen: Seen, verdict: Verdict) -> list[Condition]:
    if verdict.reason is Reason.CONNECTED:
        return []
    if verdict.reason is Reason.SUSPENDED:
        return [_condition(seen, "Suspended", True, verdict)]  # noqa: FBT003 - the value itself
    if seen.exhausted:
        return [_condition(seen, "Stalled", True, _exhausted(seen, verdict))]  # noqa: FBT003 - the value itself
    # kstatus: Stalled waits for a person, Reconciling for time.
    kind = "Stalled" if _needs_a_person(seen, verdict) else "Reconciling"
    return [_condition(seen, kind, True, verdict)]  # noqa: FBT003 - the value itself


def _needs_a_person(seen: Seen, verdict: Verdict) -> bool:
    if verdict.reason is Reason.PLATFORM_REJECTED and seen.choice:
        # Who left the platform to us waits for the verdict.
        return seen.choice.reason is Reason.CHOSEN_BY_USER
    return verdict.reason in NEEDS_A_PERSON


def _exhausted(seen: Seen, verdict: Verdict) -> Verdict:
    told = (
        f"{seen.healing.taken} steps did not help, the last at {seen.healing.at}"
        f" ({seen.healing.step}): look at the pod; a changed spec starts anew. Last told:"
        f" {verdict.reason}: {verdict.message}"
    )
    return Verdict(Reason.HEALING_EXHAUSTED, told)


def _condition(seen: Seen, kind: str, value: bool | None, verdict: Verdict) -> Condition:  # noqa: FBT001
    text = "Unknown" if value is None else str(value)
    return {
        "type": kind,
        "status": text,
        "observedGeneration": seen.generation,
        "reason": verdict.reason.value,
        "message": verdict.message[:1024],
    }


def _pod(seen: Seen) -> Verdict:
    if seen.pod and seen.pod.ready:
        return Verdict(Reason.POD_READY, "the pod is ready")
    verdict = serving(seen)
    if verdict.reason is not Reason.CONNECTED:
        return verdict
    if seen.pod and seen.pod.lost:
        told = f"node {seen.pod.node} does not answer; the account's sidecar there does, and serves"
        return Verdict(Reason.NODE_LOST, told)
    return Verdict(Reason.POD_STARTING, "the pod is starting")


def _accepted(seen: Seen) -> bool | None:
    if seen.secret_problem:
        return False
    word = seen.sidecar.credentials if seen.sidecar and not seen.suspended else "Unknown"
    return {"Valid": True, "Invalid": False, "Missing": False}.get(word)


def _credentials(seen: Seen) -> Verdict:
    if seen.secret_problem:
        return Verdict(Reason.SECRET_MISSING, seen.secret_problem)
    accepted = _accepted(seen)
    if accepted is None:
        return Verdict(Reason.CREDENTIALS_UNTRIED, "no login was tried yet")
    if accepted:
        return Verdict(Reason.CREDENTIALS_ACCEPTED, "the broker accepted login and password")
    verdict = serving(seen)
    fits = verdict.reason in (Reason.BAD_CREDENTIALS, Reason.SECRET_MISSING)
    told = "the broker refused login and password: correct the Secret"
    return verdict if fits else Verdict(Reason.BAD_CREDENTIALS, told)


def _route(seen: Seen) -> Verdict:
    if seen.route.problem:
        return Verdict(Reason.ROUTE_STORE_UNAVAILABLE, seen.route.problem)
    if seen.route.published:
        return Verdict(Reason.ROUTE_PUBLISHED, "the routers know where the account is")
    return Verdict(Reason.NO_ACTIVE_SLOT, "no slot is connected; clients get 503 with the reason")


def _compatible(seen: Seen) -> bool | None:
    if seen.platform is None:
        return None
    if seen.choice and not seen.choice.compatible:
        return False
    return serving(seen).reason is not Reason.PLATFORM_REJECTED


def _compatibility(seen: Seen) -> Verdict:
    verdict, choice = serving(seen), seen.choice
    if choice and not choice.compatible:
        return Verdict(choice.reason, choice.message)
    if verdict.reason is Reason.PLATFORM_REJECTED:
        return verdict
    if choice:
        return Verdict(choice.reason, choice.message)
    return Verdict(Reason.ASSUMED_COMPATIBLE, "Linux until the broker is known to need Windows")


def condition_of(status: Mapping[str, Any], kind: str) -> Condition | None:
    """Return the condition of this type; None if `status` has none."""
    found: Iterable[Condition] = status.get("conditions", [])
    return next((item for item in found if item["type"] == kind), None)


def dated(condition: Condition, before: Condition | None, now: str) -> Condition:
    """Return `condition` with its time: that of `before` while the status is the same."""
    same = before is not None and before["status"] == condition["status"]
    return condition | {
        "lastTransitionTime": before["lastTransitionTime"] if same and before else now
    }


def differs(desired: Manifest, actual: Manifest) -> bool:
    """Tell whether `desired` means more than `actual`; times alone mean nothing."""
    return _meaning(desired) != _meaning(actual)


def differences(desired: Manifest, actual: Manifest) -> list[str]:
    """Return where `desired` means something else than `actual`: `conditions.Ready.reason`."""
    return _differing("", _meaning(desired), _meaning(actual))


def _differing(path: str, desired: Any, actual: Any) -> list[str]:
    if desired == actual:
        return []
    if not (isinstance(desired, dict) and isinstance(actual, dict)):
        return [path]
    names = sorted(desired.keys() | actual.keys())
    parts = [
        _differing(f"{path}.{name}" if path else name, desired.get(name), actual.get(name))
        for name in names
    ]
    return [found for part in parts for found in part]


def _meaning(value: Manifest) -> dict[str, Any]:
    found = {
        item["type"]: {name: part for name, part in item.items() if name != "lastTransitionTime"}
        for item in value.get("conditions", [])
    }
    return {**value, "conditions": found}
