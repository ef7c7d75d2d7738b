# SPDX-License-Identifier: Apache-2.0
"""Talk to a cluster's API, as a test wants to: apply, get, wait, delete."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from cluster import binaries
from cluster.command import environment_without_proxies, run
from cluster.errors import CommandFailed
from cluster.waiting import wait_for

Manifest = dict[str, Any]


class Kubectl:
    """kubectl on one cluster; `namespace` is used where a call names none."""

    def __init__(self, kubeconfig: Path, *, namespace: str = "default") -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def within(self, namespace: str) -> Kubectl:
        """Return the same for another namespace."""
        return Kubectl(self.kubeconfig, namespace=namespace)

    def __call__(self, *words: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Run kubectl with these arguments and return what it printed.

        Raises:
            CommandFailed: kubectl refused; the message holds the API's own words.
        """
        argv = [str(binaries.binary("kubectl")), "--namespace", self.namespace, *words]
        environment = environment_without_proxies() | {"KUBECONFIG": str(self.kubeconfig)}
        return run(argv, stdin=stdin, env=environment, timeout_s=timeout_s)

    def apply(self, *manifests: Mapping[str, Any], server_side: bool = False) -> None:
        """Apply objects; refuses fields that the API does not know."""
        mode = ["--server-side", "--force-conflicts"] if server_side else []
        documents = yaml.safe_dump_all([dict(manifest) for manifest in manifests])
        self("apply", "--validate=strict", *mode, "--filename", "-", stdin=documents)

    def apply_file(self, *files: Path) -> None:
        """Apply files, or all files in a directory."""
        names = [word for file in files for word in ("--filename", str(file))]
        self("apply", "--validate=strict", *names)

    def get(self, kind: str, name: str) -> Manifest | None:
        """Return an object, or None if there is no such one."""
        text = self("get", kind, name, "--output=json", "--ignore-not-found")
        return dict(json.loads(text)) if text.strip() else None

    def list(self, kind: str, *, selector: str = "", everywhere: bool = False) -> list[Manifest]:
        """Return all objects of a kind."""
        options = ["--selector", selector] if selector else []
        options += ["--all-namespaces"] if everywhere else []
        return list(json.loads(self("get", kind, *options, "--output=json"))["items"])

    def patch(self, kind: str, name: str, change: Mapping[str, Any], *, part: str = "") -> None:
        """Merge `change` into an object, or into its subresource `part`, like `status`."""
        options = [f"--subresource={part}"] if part else []
        self("patch", kind, name, "--type=merge", "--patch", json.dumps(change), *options)

    def annotate(self, kind: str, name: str, annotations: Mapping[str, str | None]) -> None:
        """Set annotations of an object; None removes one."""
        self.patch(kind, name, {"metadata": {"annotations": dict(annotations)}})

    def delete(self, kind: str, *names: str, wait: bool = True, timeout_s: float = 60) -> None:
        """Delete objects, which need not exist; with `wait` until they are gone.

        An object of the same name that somebody made anew is another object. (kubectl's own
        waiting sometimes misses that when the old one goes at once, as pods on fake nodes do.)
        """
        before = {name: self._uid(kind, name) for name in names} if wait else {}
        self("delete", kind, *names, "--ignore-not-found", "--wait=false")
        for name, uid in before.items():
            wait_for(
                partial(self._is_another, kind, name, uid),
                what=f"{kind}/{name} in {self.namespace} to go",
                timeout_s=timeout_s,
                hint=partial(self._state, kind, name),
            )

    def wait_for(
        self,
        kind: str,
        name: str,
        predicate: Callable[[Manifest], object],
        *,
        timeout_s: float = 30,
        what: str = "",
    ) -> Manifest:
        """Return the object as soon as `predicate` holds for it.

        Raises:
            NotReady: it did not within `timeout_s`; the message ends with the object's status.
        """

        def look() -> Manifest | None:
            found = self.get(kind, name)
            return found if found is not None and predicate(found) else None

        return wait_for(
            look,
            what=what or f"{kind}/{name} in {self.namespace}",
            timeout_s=timeout_s,
            hint=lambda: self._state(kind, name),
        )

    def wait_for_ready(self, kind: str, name: str, *, timeout_s: float = 30) -> Manifest:
        """Return the object as soon as its condition `Ready` is true."""
        return self.wait_for(
            kind, name, lambda found: condition(found, "Ready") == "True", timeout_s=timeout_s
        )

    def wait_until_gone(self, kind: str, name: str, *, timeout_s: float = 30) -> None:
        """Wait until there is no such object."""
        wait_for(
            lambda: self.get(kind, name) is None,
            what=f"{kind}/{name} in {self.namespace} to go",
            timeout_s=timeout_s,
            hint=lambda: self._state(kind, name),
        )

    def logs(self, pod: str, *options: str) -> str:
        """Return a pod's log."""
        return self("logs", pod, *options)

    def exec(self, pod: str, command: Sequence[str], *, container: str = "") -> str:
        """Run a command in a pod's container and return what it printed."""
        where = ["--container", container] if container else []
        return self("exec", pod, *where, "--", *command)

    def _is_another(self, kind: str, name: str, uid: str | None) -> bool:
        return uid is None or self._uid(kind, name) != uid

    def _uid(self, kind: str, name: str) -> str | None:
        found = self.get(kind, name)
        return str(found["metadata"]["uid"]) if found else None

    def _state(self, kind: str, name: str) -> str:
        try:
            found = self.get(kind, name)
        except CommandFailed as error:
            return str(error)
        return f"Last seen: {json.dumps(found.get('status', found))}" if found else "There is none."


def condition(found: Mapping[str, Any], kind: str) -> str | None:
    """Return the status of a condition: `True`, `False`, `Unknown`, or None if there is none."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((str(each["status"]) for each in conditions if each["type"] == kind), None)
