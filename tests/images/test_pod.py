# SPDX-License-Identifier: Apache-2.0
"""The Wine image in a pod that the operator made, on a real node and in the restricted profile."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator

import pytest
from e2e_world import World

from cluster.backends import Cluster
from cluster.images import Image
from cluster.paths import REPOSITORY
from contract_wine import cases, wine
from demo import images
from demo.installation import NAMESPACE, NODE_PORT, Installation, create_key, install, node_address

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]  # the first run builds the image
STARTED_S = 180.0
"""From apply to a first word about the account, with an image of 1 GB on two busy cores."""


@pytest.fixture(scope="module")
def image() -> Image:
    """Return the Wine image under the name that the chart gives to the operator."""
    chart = (REPOSITORY / "charts" / "mt5-bridge" / "Chart.yaml").read_text()
    version = re.search(r'(?m)^appVersion: "?([^"\s]+)', chart)
    assert version
    return wine.build(name=f"mt5-bridge/wine:{version[1]}")


@pytest.fixture(scope="module")
def world(node_cluster: Cluster, image: Image) -> Iterator[World]:
    """Return a namespace that admits restricted pods only, served by an installation."""
    install(node_cluster, images.build())
    node_cluster.load(image.archive)
    kubectl = node_cluster.kubectl
    key = create_key(kubectl.within(NAMESPACE), "wine", accounts=["*"], scopes=["read"])
    url = f"http://{node_address(kubectl)}:{NODE_PORT}"
    namespace = f"wine-{secrets.token_hex(4)}"
    kubectl("create", "namespace", namespace)
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    yield World(Installation(kubectl, url, key), namespace)
    kubectl.within(namespace)("delete", "mt5account", "--all", "--timeout=120s", timeout_s=130)
    kubectl("delete", "namespace", namespace, "--wait=false")


def test_an_account_without_a_terminal_says_so_and_the_real_package_is_there(world: World) -> None:
    account = world.apply_account(server="Broker-Demo")

    ready = world.wait_reason(account.name, "TerminalMissing", timeout_s=STARTED_S)

    assert "terminal" in ready["message"]
    answer = world.get(f"/accounts/{account.id}/api/account")
    assert (answer.status, "TerminalMissing" in answer.body) == (503, True)
    source = (REPOSITORY / "tests" / "contract_wine" / "cases.py").read_text()
    command = [wine.PYTHON, "-c", source, "MetaTrader5"]
    setting = "WINEPREFIX=/tmp/mt5/prefix"
    said = world.kubectl.exec(
        f"{account.name}-a-0",
        ["env", setting, "HOME=/tmp/mt5/home", "XDG_RUNTIME_DIR=/tmp/mt5/run", *command],
        container="terminal",
    )
    outcomes = json.loads(said)["outcomes"]
    assert outcomes["account_info()"]["error"] == [-10004, "No IPC connection"]
    assert list(outcomes) == list(cases.cases())
