# SPDX-License-Identifier: Apache-2.0
"""What the API server refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.control_plane import ControlPlane
from cluster.errors import CommandFailed
from cluster.kubectl import Kubectl
from operator_cluster.manifests import account

pytestmark = pytest.mark.cluster

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("negative login", account(login=-5), "login must be a positive number"),
    ("login zero", account(login=0), "login must be a positive number"),
    ("login too large", account(login=2**63), "spec.login"),
    ("login as text", account() | {"spec": account()["spec"] | {"login": "1"}}, "spec.login"),
    ("no server", account(server=""), "spec.server"),
    ("long server", account(server="x" * 64), "spec.server"),
    ("bad account id", account(accountId="a b"), "spec.accountId"),
    ("unknown field", account(tradng={"enabled": True}), 'unknown field "spec.tradng"'),
    ("unknown inner field", account(trading={"on": True}), 'unknown field "spec.trading.on"'),
    ("bad platform", account(brokerCompatibility="Mac"), '"Auto", "Linux", "Windows"'),
    ("negative volume", account(trading={"maxVolume": -1}), "spec.trading.maxVolume"),
    ("zero volume", account(trading={"maxVolume": 0}), "spec.trading.maxVolume"),
    ("volume in words", account(trading={"maxVolume": "much"}), "spec.trading.maxVolume"),
    ("no orders", account(trading={"ordersPerMinute": 0}), "spec.trading.ordersPerMinute"),
    ("bad size", account(storage={"size": "big"}), "spec.storage.size"),
    ("bad memory", account(resources={"limits": {"memory": "-1Gi"}}), "resources.limits.memory"),
    ("symbol twice", account(symbols=["EURUSD", "EURUSD"]), "spec.symbols[1]"),
    ("long name", account("x" * 51), "metadata.name must have at most 50 characters"),
    ("dotted name", account("a.b"), "metadata.name must have at most 50 characters"),
]

IMMUTABLE: list[tuple[str, dict[str, Any], str]] = [
    ("login", {"login": 5}, "login cannot be changed"),
    ("server", {"server": "Other"}, "server cannot be changed"),
    ("accountId", {"accountId": "other"}, "accountId cannot be added, changed or removed"),
    ("no accountId", {"accountId": None}, "accountId cannot be added, changed or removed"),
    ("storage", {"storage": {"size": "1Gi"}}, "storage cannot be added or removed"),
]


@pytest.fixture
def api(plane: ControlPlane, kubectl: Kubectl) -> Kubectl:
    """Return kubectl where accounts are known; no operator runs."""
    return kubectl


@pytest.mark.parametrize(
    ("manifest", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_a_wrong_spec_is_refused_with_words_that_name_the_place(
    api: Kubectl, manifest: dict[str, Any], words: str
) -> None:
    with pytest.raises(CommandFailed) as refused:
        api.apply(manifest)

    assert words in str(refused.value)


def test_a_server_is_never_assumed(api: Kubectl) -> None:
    manifest = account()
    del manifest["spec"]["server"]

    with pytest.raises(CommandFailed, match=r"spec\.server: Required value"):
        api.apply(manifest)


@pytest.mark.parametrize(
    ("change", "words"), [r[1:] for r in IMMUTABLE], ids=[r[0] for r in IMMUTABLE]
)
def test_what_an_account_is_known_by_cannot_be_changed(
    api: Kubectl, change: dict[str, Any], words: str
) -> None:
    api.apply(account(accountId="mine"))

    with pytest.raises(CommandFailed) as refused:
        api.patch("mt5account", "demo", {"spec": change})

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        (None, "storage cannot be added or removed"),
        ({"storageClassName": "slow"}, "nor its storageClassName be changed"),
        ({"storageClassName": None}, "nor its storageClassName be changed"),
        ({"size": "500Mi"}, "storage.size can only grow"),
        ({"size": 5_000_000_000}, "storage.size can only grow (written as text"),
    ],
)
def test_of_a_volume_only_the_size_changes_and_it_only_grows(
    api: Kubectl, storage: dict[str, Any] | None, words: str
) -> None:
    api.apply(account(storage={"size": "1Gi", "storageClassName": "fast"}))
    api.patch("mt5account", "demo", {"spec": {"storage": {"size": "1.5Gi"}}})

    with pytest.raises(CommandFailed) as refused:
        api.patch("mt5account", "demo", {"spec": {"storage": storage}})

    assert words in str(refused.value)


def test_an_account_id_cannot_be_added_later(api: Kubectl) -> None:
    api.apply(account())

    with pytest.raises(CommandFailed, match="accountId cannot be added"):
        api.patch("mt5account", "demo", {"spec": {"accountId": "late"}})


@pytest.mark.parametrize("volume", [0.5, 1, "0.5", "10"])
def test_a_volume_is_a_number_or_a_text(api: Kubectl, volume: object) -> None:
    api.apply(account(trading={"enabled": True, "maxVolume": volume}))

    found = api.get("mt5account", "demo")

    assert found is not None
    assert found["spec"]["trading"]["maxVolume"] == volume


def test_the_largest_login_and_quantities_are_accepted(api: Kubectl) -> None:
    api.apply(
        account(
            login=2**63 - 1,
            storage={"size": "2Gi"},
            resources={"requests": {"cpu": 1, "memory": "1.5Gi"}},
        )
    )

    found = api.get("mt5account", "demo")

    assert found is not None
    assert found["spec"]["login"] == 2**63 - 1
    assert found["spec"]["credentialsSecretRef"]["key"] == "password"


def test_accounts_are_selected_by_suspend_and_shown_by_category(api: Kubectl) -> None:
    api.apply(account("one", suspend=True), account("two", login=2))

    selected = api("get", "mt5", "--field-selector=spec.suspend=true", "--output=name")

    assert selected.strip() == "mt5account.mt5bridge.io/one"
    assert "two" in api("get", "mt5account", "--output=wide")
