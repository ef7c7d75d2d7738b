# SPDX-License-Identifier: Apache-2.0
"""The command line behind `make demo`: up, env, down, images."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

from cluster import binaries, state
from cluster.backends import Cluster, node_backend
from cluster.errors import ClusterError
from cluster.kubectl import Kubectl
from cluster.local import LocalCluster
from cluster.process import Program
from demo import images, tour
from demo.installation import (
    NAMESPACE,
    NODE_PORT,
    RELEASE,
    SAMPLES,
    create_key,
    install,
    node_address,
    random_password,
    stored_keys,
)
from demo.progress import step

CLUSTER = "demo"
LOGINS = (10001, 10002, 10003)
_PORT = 8080


def main(words: list[str]) -> int:
    """Run one command, and return the exit status for the shell."""
    commands = {"up": up, "env": env, "down": down, "images": build_images}
    try:
        commands[words[0]]()
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again to go on, or make demo-down", file=sys.stderr)
        return 130
    return 0


def up() -> None:
    """Bring the demo up, from wherever it is, and show it."""
    place, cluster = _place(), _cluster()
    with step("Kubernetes, helm, DNS and KWOK from source", usually="10 min once, then 1 s"):
        for name in binaries.SOURCES:
            binaries.binary(name)
    with step("our images", usually="4 min once, then 1 s"):
        built = images.build()
    with step("a cluster with a node", usually="12 s"):
        cluster.start()
    with step(f"helm install {RELEASE}", usually="30 s"):
        install(cluster, built)
    with step("an API key, and the way in from loopback", usually="1 s"):
        environment = _environment(cluster, place)
        tour.write_environment(place / "demo.json", environment)
    with step("three accounts", usually="15 s"):
        _apply_samples(cluster.kubectl)
        _wait_for_samples(cluster.kubectl)
        tour.wait_for_answer(environment, "/accounts/10001/api/account")
    tour.show(environment)


def env() -> None:
    """Print the lines for a shell's eval."""
    file = _place() / "demo.json"
    if not file.exists():
        raise ClusterError("the demo is not up: make demo")
    environment = json.loads(file.read_text())
    path = environment.pop("PATH")
    for name, value in environment.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f'export PATH={shlex.quote(path)}:"$PATH"')


def down() -> None:
    """Remove the demo, and everything of it but logs and caches."""
    place = _place()
    _forward(place, []).stop()
    _cluster().stop()
    (place / "demo.json").unlink(missing_ok=True)


def build_images() -> None:
    """Build our images, and print their names."""
    for image in images.build().values():
        print(image.name)


def _place() -> Path:
    return state.directory(CLUSTER)


def _cluster() -> Cluster:
    kind = os.environ.get("CLUSTER", "")
    if kind not in ("", "local"):
        return node_backend(kind, _place())
    state.write_wish(_place(), state.Wish(node=True, kwok=False))
    return LocalCluster(_place(), with_node=True, with_kwok=False, outlives_us=True)


def _environment(cluster: Cluster, place: Path) -> dict[str, str]:
    return {
        "KUBECONFIG": str(cluster.kubeconfig),
        "MT5_URL": _way_in(cluster, place),
        "MT5_API_KEY": _key(cluster.kubectl.within(NAMESPACE), place),
        "PATH": ":".join(str(directory) for directory in binaries.directories()),
    }


def _way_in(cluster: Cluster, place: Path) -> str:
    """Make the router reachable from loopback, and return its address there."""
    if isinstance(cluster, LocalCluster):
        host = cluster.control_plane.addresses.loopback
        target = [node_address(cluster.kubectl), str(NODE_PORT)]
        argv = [sys.executable, "-m", "demo.forward", host, str(_PORT), *target]
    else:
        host = "127.0.0.1"
        service = f"service/{RELEASE}-router"
        kubectl = [str(binaries.binary("kubectl")), "--kubeconfig", str(cluster.kubeconfig)]
        argv = [*kubectl, "--namespace", NAMESPACE, "port-forward", service, f"{_PORT}:80"]
    _forward(place, argv).start()
    return f"http://{host}:{_PORT}"


def _forward(place: Path, argv: list[str]) -> Program:
    env = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    absolute = ":".join(str(Path(each).resolve()) for each in env["PYTHONPATH"].split(":"))
    return Program("forward", argv, place, outlives_us=True, env={"PYTHONPATH": absolute})


def _key(system: Kubectl, place: Path) -> str:
    """Return the demo's key: that of an earlier run, if the cluster still knows it."""
    file = place / "demo.json"
    if file.exists() and "demo" in stored_keys(system):
        return str(json.loads(file.read_text())["MT5_API_KEY"])
    return create_key(system, "demo", accounts=["*"], scopes=["read", "trade"])


def _apply_samples(kubectl: Kubectl) -> None:
    for login in LOGINS:
        if kubectl.get("secret", f"mt5-{login}") is None:
            literal = f"--from-literal=password={random_password()}"
            kubectl("create", "secret", "generic", f"mt5-{login}", literal)
    kubectl.apply_file(SAMPLES / "accounts.yaml")


def _wait_for_samples(kubectl: Kubectl) -> None:
    for name in ("reader", "trader"):
        kubectl.wait_for_ready("mt5account", name, timeout_s=120)
    kubectl.wait_for("mt5account", "windows-only", lambda found: _reason(found) == "NoCapacity")


def _reason(account: dict[str, object]) -> str:
    status = account.get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return next((str(each["reason"]) for each in conditions if each["type"] == "Ready"), "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
