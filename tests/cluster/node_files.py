# SPDX-License-Identifier: Apache-2.0
"""The configuration of a real node's programs; all paths are as seen inside the node."""

from __future__ import annotations

import json
from typing import Any, Final

import yaml

from cluster.node_init import HOME

CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"
_CNI_PLUGINS: Final = "/usr/lib/cni"  # where Debian's containernetworking-plugins puts them


def containerd(*, sandbox_image: str) -> str:
    """Return containerd's configuration."""
    return f"""\
version = 2
root = "{HOME}/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  # Hosts that are containers or small machines themselves often lack CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{_CNI_PLUGINS}"
    conf_dir = "{HOME}/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def cni(*, pods: str) -> str:
    """Return the CNI configuration: every pod has a cable to the node, which routes.

    A bridge would need the kernel to hand bridged packets to iptables, or answers from a Service's
    pod to a client on the same node would bypass the address translation.
    """
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins})


def kubelet(*, dns: str, dns_domain: str) -> str:
    """Return kubelet's configuration; what it does not say is Kubernetes' default."""
    configuration: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{HOME}/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{HOME}/pki/kubelet-serving.crt",
        "tlsPrivateKeyFile": f"{HOME}/pki/kubelet-serving.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [dns],
        "clusterDomain": dns_domain,
        "resolvConf": f"{HOME}/resolv.conf",
        "podLogsDir": f"{HOME}/pod-logs",
        "volumePluginDir": f"{HOME}/volume-plugins",
        # Control groups of version 1, which kubelet calls old, and a host that does not delegate
        # all that a whole machine would. A group for each pod there must be: without it a kubelet
        # panics at every resize (https://github.com/kubernetes/kubernetes/issues/137993).
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        # Images cannot be pulled again, and a developer's disk is often nearly full.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "maxPods": 250,
    }
    return yaml.safe_dump(configuration)


def corefile(*, address: str, health: str, kubeconfig: str, dns_domain: str, upstream: str) -> str:
    """Return CoreDNS' configuration, in kubeadm's terms; `upstream` answers for the rest."""
    forward = f"    forward . {upstream}\n" if upstream else ""
    return f"""\
.:53 {{
    bind {address}
    errors
    ready {health}
    cache 30
    kubernetes {dns_domain} in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 30
    }}
{forward}}}
"""
