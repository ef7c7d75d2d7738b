# SPDX-License-Identifier: Apache-2.0
"""The kinds of objects that the operator speaks about, and their places in the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mt5_operator import names


@dataclass(frozen=True)
class Kind:
    """A resource of the API; `selector` limits what is watched, `""` meaning all."""

    name: str
    api: str
    plural: str
    namespaced: bool = True
    selector: str = ""

    def path(self, namespace: str = "", name: str = "", *, part: str = "") -> str:
        """Return the path of an object, or of the collection without a `name`."""
        group = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(filter(None, [f"{group}{place}/{self.plural}", name, part]))


ACCOUNT: Final = Kind(names.KIND, names.API_VERSION, names.PLURAL)
BROKER: Final = Kind(names.BROKER_KIND, names.API_VERSION, names.BROKER_PLURAL, namespaced=False)
STATEFUL_SET: Final = Kind("StatefulSet", "apps/v1", "statefulsets", selector=names.SELECTOR)
POD: Final = Kind("Pod", "v1", "pods", selector=names.SELECTOR)
CONFIG_MAP: Final = Kind("ConfigMap", "v1", "configmaps", selector=names.SELECTOR)
DEPLOYMENT: Final = Kind("Deployment", "apps/v1", "deployments")
NODE: Final = Kind("Node", "v1", "nodes", namespaced=False)
NAMESPACE: Final = Kind("Namespace", "v1", "namespaces", namespaced=False)
SECRET: Final = Kind("Secret", "v1", "secrets")
EVENT: Final = Kind("Event", "events.k8s.io/v1", "events")
BUDGET: Final = Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets")
LEASE: Final = Kind("Lease", "coordination.k8s.io/v1", "leases")

# Our own kinds, which kopf watches, and what stands around them, which a `Reflector` does.
OURS: Final = (ACCOUNT, BROKER)
AROUND: Final = (STATEFUL_SET, POD, CONFIG_MAP, NODE)
WATCHED: Final = OURS + AROUND
