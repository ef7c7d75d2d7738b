# SPDX-License-Identifier: Apache-2.0
"""One installation for all e2e tests, a namespace for each."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from e2e_world import Account, World
from played_windows import IMAGE_TAG

from cluster.backends import Cluster
from demo import images
from demo.installation import (
    NAMESPACE,
    NODE_PORT,
    Installation,
    create_key,
    install,
    node_address,
)

# A fleet moves in a test's time: more at once, and no long look at a slot that is ready.
QUICK_MOVES = {
    "MT5_OPERATOR_MOVE_MAX": "5",
    "MT5_OPERATOR_MOVE_PAUSE_S": "2",
    "MT5_OPERATOR_MOVE_MIN_READY_S": "5",
}
# Longer than any test server leaves an account that it drops alone (17 s). For a broker's verdict;
# nothing else rests on it.
STEADY_S = 20


@pytest.fixture(scope="session")
def installation(node_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return MT5 Bridge, installed by the demo's own steps on a real node."""
    values = tmp_path_factory.mktemp("values") / "quick.json"
    moves = [{"name": name, "value": value} for name, value in QUICK_MOVES.items()]
    windows = {"repository": "localhost/mt5-bridge/sidecar-windows", "tag": IMAGE_TAG}
    accounts = {
        "images": {"sidecarWindows": windows},
        "sidecar": {"settings": {"evidence_steady_s": STEADY_S}},
    }
    values.write_text(json.dumps({"operator": {"extraEnv": moves}, "accounts": accounts}))
    install(node_cluster, images.build(), values=[values])
    kubectl = node_cluster.kubectl
    url = f"http://{node_address(kubectl)}:{NODE_PORT}"
    key = create_key(kubectl.within(NAMESPACE), "e2e", accounts=["*"], scopes=["read", "trade"])
    return Installation(kubectl, url, key)


@pytest.fixture
def world(installation: Installation) -> Iterator[World]:
    """Return a namespace of its own, which goes when the test ends."""
    with _new_world(installation) as world:
        yield world


@pytest.fixture(scope="module")
def shared_world(installation: Installation) -> Iterator[World]:
    """Return a namespace that the tests of a module share."""
    with _new_world(installation) as world:
        yield world


@pytest.fixture(scope="module")
def trader(shared_world: World) -> Account:
    """Return an account that trades, which the tests of a module share."""
    return shared_world.trader()


@contextmanager
def _new_world(installation: Installation) -> Iterator[World]:
    namespace = f"e2e-{secrets.token_hex(4)}"
    installation.kubectl("create", "namespace", namespace)
    yield World(installation, namespace)
    accounts = installation.kubectl.within(namespace)
    names = [each["metadata"]["name"] for each in accounts.list("mt5account")]
    if names:
        accounts.delete("mt5account", *names, timeout_s=120)
    installation.kubectl.delete("namespace", namespace, wait=False)
