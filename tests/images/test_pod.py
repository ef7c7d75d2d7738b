# SPDX-License-Identifier: Apache-2.0
"""The Wine image in a pod that the operator made, on a real node and in the restricted profile."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator

import pytest
from e2e_world import World
from websockets.asyncio.client import connect

from cluster.backends import Cluster
from cluster.images import Image
from cluster.paths import REPOSITORY
from contract_wine import cases, wine
from demo import images
from demo.installation import NAMESPACE, NODE_PORT, Installation, create_key, install, node_address

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]  # the first run builds the image
STARTED_S = 180.0
"""From apply to a first word about the account, with an image of 1 GB on two busy cores."""
IN_TERMINAL_IMAGE = {"accounts": {"simulator": {"inTerminalImage": True}}}
MEMORY_LIMIT_MB = 1229
# Under Wine every process of the container is one of Linux, too.
_MEASURE = """
import glob
def pss(path):
    try: return int(next(x for x in open(path) if x.startswith('Pss:')).split()[1])
    except (OSError, StopIteration): return 0
print(sum(map(pss, glob.glob('/proc/[0-9]*/smaps_rollup'))) // 1024)
for path in glob.glob('/proc/[0-9]*/cmdline'):
    try: print(open(path).read().replace(chr(0), ' '))
    except OSError: pass
"""


@pytest.fixture(scope="module")
def image() -> Image:
    """Return the Wine image under the name that the chart gives to the operator."""
    chart = (REPOSITORY / "charts" / "mt5-bridge" / "Chart.yaml").read_text()
    version = re.search(r'(?m)^appVersion: "?([^"\s]+)', chart)
    assert version
    return wine.build(name=f"mt5-bridge/wine:{version[1]}")


@pytest.fixture(scope="module")
def world(
    node_cluster: Cluster, image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Return a namespace that admits restricted pods only, served by an installation.

    Its simulators run in the terminal's image.
    """
    values = tmp_path_factory.mktemp("wine") / "values.json"
    values.write_text(json.dumps(IN_TERMINAL_IMAGE))
    install(node_cluster, images.build(), values=[values])
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
    install(node_cluster, images.build())


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


async def test_the_simulator_in_windows_python_under_wine_is_served_through_the_router(
    world: World, record_property: pytest.RecordProperty
) -> None:
    began_s = time.monotonic()
    account = world.apply_account()
    world.wait_ready(account.name, timeout_s=STARTED_S)
    ready_s = time.monotonic() - began_s
    path = f"/accounts/{account.id}/api/account"
    world.until(lambda: world.get(path).status == 200, "an answer")

    body = json.loads(world.get(path).body)
    url = f"{world.ws_url}/ws/account/{account.id}?channels=tick_data&interval_ms=0"
    async with connect(url, additional_headers={"X-API-Key": world.key}) as socket:
        kinds = [json.loads(await socket.recv())["type"] for _ in range(3)]

    assert body["account"]["login"] == account.login
    assert kinds == ["welcome", "snapshot", "tick_data"]
    pod = f"{account.name}-a-0"
    said = world.kubectl.exec(pod, ["python3", "-c", _MEASURE], container="terminal")
    memory_mb, _, commands = said.partition("\n")
    record_property("apply_to_ready_s", round(ready_s, 1))
    record_property("memory_pss_mb", int(memory_mb))
    assert "python.exe -m mt5_agent.worker" in commands
    assert 0 < int(memory_mb) < MEMORY_LIMIT_MB
