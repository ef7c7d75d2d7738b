# SPDX-License-Identifier: Apache-2.0
"""`CLUSTER` chooses the cluster; kind itself is played by a script, for want of Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.backends import ExistingCluster, KindCluster, node_backend
from cluster.errors import Unsupported
from cluster.local import LocalCluster

KIND = """\
#!/bin/sh
echo "$@" >> "$0.calls"
case "$*" in
"create cluster"*)
  for word in "$@"; do case "$word" in --kubeconfig=*) cat "$0.config" > "${word#*=}";; esac; done;;
esac
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: a, user: {}}]
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with a Docker that answers and a kind that writes down its calls."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name, text in (("docker", "#!/bin/sh\n"), ("kind", KIND)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    (directory / "kind.config").write_text(KUBECONFIG)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return directory


def test_without_a_word_the_cluster_is_ours(tmp_path: Path) -> None:
    assert isinstance(node_backend("", tmp_path), LocalCluster)


def test_an_unknown_word_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="say local, kind or existing"):
        node_backend("kin", tmp_path)


def test_kind_without_docker_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Unsupported, match="needs a running Docker"):
        node_backend("kind", tmp_path)


def test_kind_is_told_to_create_to_load_and_to_delete(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.kubectl.Kubectl.__call__", lambda *_, **__: "")
    cluster = KindCluster(tmp_path / "demo")

    cluster.start()
    cluster.load(tmp_path / "image.tar")
    cluster.stop()

    calls = (programs / "kind.calls").read_text()
    assert cluster.kubeconfig.name == "kubeconfig"
    assert f"create cluster --name=demo --kubeconfig={cluster.kubeconfig}" in calls
    assert f"load image-archive {tmp_path / 'image.tar'} --name demo" in calls
    assert "delete cluster --name=demo" in calls


def test_an_existing_cluster_is_that_of_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    cluster = node_backend("existing", tmp_path)

    assert isinstance(cluster, ExistingCluster)
    with pytest.raises(Unsupported, match="set KUBECONFIG"):
        cluster.start()
    with pytest.raises(Unsupported, match="push the images"):
        cluster.load(tmp_path / "image.tar")
