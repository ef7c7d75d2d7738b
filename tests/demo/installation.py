# SPDX-License-Identifier: Apache-2.0
"""MT5 Bridge on a cluster: install it, and reach its parts."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import binaries
from cluster.backends import Cluster
from cluster.command import environment_without_proxies, run
from cluster.images import Image
from cluster.kubectl import Kubectl
from cluster.paths import REPOSITORY

RELEASE = "mt5"
NAMESPACE = "mt5-system"
NODE_PORT = 30080
API_KEYS = "mt5-bridge-api-keys"
SAMPLES = REPOSITORY / "docs" / "samples"
CHART = REPOSITORY / "charts" / "mt5-bridge"
# Long enough for two cores that start ten pods at once.
ROLLOUT_TIMEOUT_S = 240
_REDIS_CLI = 'REDISCLI_AUTH="$(cat /run/mt5/redis/password)" exec redis-cli "$@"'


@dataclass(frozen=True)
class Installation:
    """An installed MT5 Bridge; `url` is its router's address, `key` opens every account."""

    kubectl: Kubectl
    url: str
    key: str
    namespace: str = NAMESPACE

    @property
    def system(self) -> Kubectl:
        """Return kubectl in the namespace of operator, router and Redis."""
        return self.kubectl.within(self.namespace)

    def create_key(self, key_id: str, *, accounts: Sequence[str], scopes: Sequence[str]) -> str:
        """Make an API key valid, and return it."""
        return create_key(self.system, key_id, accounts=accounts, scopes=scopes)

    def redis(self, *command: str) -> str:
        """Run a command in the bundled Redis, and return its answer."""
        words = ["sh", "-c", _REDIS_CLI, "redis-cli", *command]
        return self.system.exec(f"deployment/{RELEASE}-redis", words).strip()

    def scale(self, part: str, replicas: int) -> None:
        """Set how many pods a part has, and wait until it has so many."""
        name = f"{RELEASE}-{part}"
        self.system("scale", f"deployment/{name}", f"--replicas={replicas}")
        self.system.wait_for(
            "deployment",
            name,
            lambda found: (
                found["status"].get("readyReplicas", 0) == replicas
                and found["status"].get("replicas", 0) == replicas
            ),
            timeout_s=ROLLOUT_TIMEOUT_S,
        )

    def restart(self, part: str) -> None:
        """Replace the pods of a part, and wait until the new ones are Ready."""
        self.system("rollout", "restart", f"deployment/{RELEASE}-{part}")
        wait_for_rollout(self.system, part)


def install(
    cluster: Cluster,
    images: Mapping[str, Image],
    *,
    values: Sequence[Path] = (),
    shared_broker: bool = True,
) -> None:
    """Install or upgrade MT5 Bridge from these images, and wait until it is ready.

    Without a `shared_broker` each simulated terminal is its own, and answers without asking it.
    """
    cluster.load(*(image.archive for image in images.values()))
    words: list[str | Path] = ["upgrade", "--install", RELEASE, CHART, "--namespace", NAMESPACE]
    words += ["--create-namespace", "--values", "-", *_value_files(values)]
    helm(
        cluster.kubeconfig,
        *words,
        stdin=json.dumps(local_values(images, shared_broker=shared_broker)),
    )
    parts = ["operator", "router", "redis"] + ["simulated-broker"] * shared_broker
    for part in parts:
        wait_for_rollout(cluster.kubectl.within(NAMESPACE), part)


def _value_files(values: Sequence[Path]) -> list[str]:
    return [word for file in values for word in ("--values", str(file))]


def local_values(images: Mapping[str, Image], *, shared_broker: bool = True) -> dict[str, Any]:
    """Return the chart's values for images that the node has already."""

    def image(name: str) -> dict[str, str]:
        repository, _, tag = images[name].name.rpartition(":")
        return {"repository": repository, "tag": tag}

    def never_pulled(name: str) -> dict[str, str]:
        return image(name) | {"pullPolicy": "Never"}

    return {
        "operator": {"image": never_pulled("operator")},
        "router": {
            "image": never_pulled("router"),
            "service": {"type": "NodePort", "nodePort": NODE_PORT},
        },
        "redis": {"image": never_pulled("redis")},
        "accounts": {
            "images": {"pullPolicy": "Never", "sidecar": image("sidecar")},
            "simulator": {"sharedBroker": shared_broker},
        },
        # One node, and no autoscaler to bring another: places are free or they are not.
        "capacity": {"warm": {"enabled": False}},
    }


def helm(kubeconfig: Path, *words: str | Path, stdin: str | None = None) -> str:
    """Run helm on a cluster, and return what it printed."""
    environment = environment_without_proxies() | {"KUBECONFIG": str(kubeconfig)}
    return run([binaries.binary("helm"), *words], stdin=stdin, env=environment, timeout_s=300)


def wait_for_rollout(system: Kubectl, part: str) -> None:
    """Wait until the new pods of a part are ready and the old ones are gone."""
    timeout = f"--timeout={ROLLOUT_TIMEOUT_S}s"
    system(
        "rollout",
        "status",
        f"deployment/{RELEASE}-{part}",
        timeout,
        timeout_s=ROLLOUT_TIMEOUT_S + 10,
    )


def create_key(
    system: Kubectl, key_id: str, *, accounts: Sequence[str], scopes: Sequence[str]
) -> str:
    """Make an API key, store its hash in the Secret that the operator reads; return the key."""
    words = ["--id", key_id, "--accounts", ",".join(accounts), "--scopes", ",".join(scopes)]
    words += ["--namespaces", "*"]
    program = [sys.executable, "-m", "mt5_operator.apikey", "create", "--json"]
    made = json.loads(run([*program, *words]))
    if system.get("secret", API_KEYS) is None:
        system("create", "secret", "generic", API_KEYS)
    system.patch("secret", API_KEYS, made["patch"])
    return str(made["key"])


def node_address(kubectl: Kubectl) -> str:
    """Return the address of the first real node, as this machine reaches it."""
    nodes = kubectl.list("node", selector="type!=kwok")
    addresses = nodes[0]["status"]["addresses"]
    return next(str(each["address"]) for each in addresses if each["type"] == "InternalIP")


def stored_keys(system: Kubectl) -> set[str]:
    """Return the ids of the API keys whose hashes are stored."""
    secret = system.get("secret", API_KEYS) or {}
    return set(secret.get("data", {}))


def random_password() -> str:
    """Return a password for a simulated account: any is right."""
    return base64.urlsafe_b64encode(os.urandom(12)).decode()
