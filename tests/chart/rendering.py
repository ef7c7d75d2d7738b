# SPDX-License-Identifier: Apache-2.0
"""The chart as Helm renders it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from cluster.binaries import binary
from cluster.command import run
from cluster.paths import REPOSITORY

Manifest = dict[str, Any]

CHART = REPOSITORY / "charts" / "mt5-bridge"
VALUES = Path(__file__).parent / "values"
NAMESPACE = "mt5-system"
NAMES = tuple(sorted(file.stem for file in VALUES.glob("*.yaml")))


def helm(*words: str | Path) -> str:
    """Return what helm prints.

    Raises:
        CommandFailed: with helm's own words.
    """
    return run([binary("helm"), *words])


def template(*words: str | Path) -> list[Manifest]:
    """Return the manifests for further words of `helm template`."""
    text = helm("template", "demo", CHART, "--namespace", NAMESPACE, *words)
    return [document for document in yaml.safe_load_all(text) if document]


@cache
def rendered(name: str) -> list[Manifest]:
    """Return the manifests for one of the value files."""
    return template("--values", VALUES / f"{name}.yaml")


def only(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """Return the one object of this kind and name."""
    found = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    assert len(found) == 1, [(m["kind"], m["metadata"]["name"]) for m in manifests]
    return found[0]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield name and pod spec of every workload."""
    for manifest in manifests:
        if "template" in manifest.get("spec", {}):
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]


def environment(pod: Manifest) -> dict[str, str]:
    """Return the environment of a pod's first container, plain values only."""
    return {e["name"]: e["value"] for e in pod["containers"][0].get("env", []) if "value" in e}
