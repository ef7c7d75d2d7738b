# SPDX-License-Identifier: Apache-2.0
"""Images: their names, the base's sources, the archive of `pause`."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from cluster.base_image import Mirror, mirror, sources_list
from cluster.images import qualified
from cluster.pause import image_archive

DEB822 = """\
Types: deb
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb http://old.test/debian bookworm main
deb-src http://mirror.test/debian bookworm main
deb http://mirror.test/backports bookworm-backports main
deb [signed-by=/usr/share/keyrings/a.gpg] http://mirror.test/debian bookworm main
deb http://mirror.test/debian-security bookworm-security main
"""


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("debian:trixie-slim", "docker.io/library/debian:trixie-slim"),
        ("mt5-bridge/operator", "docker.io/mt5-bridge/operator"),
        ("registry.test/operator:1", "registry.test/operator:1"),
        ("localhost:5000/operator", "localhost:5000/operator"),
        ("localhost/operator", "localhost/operator"),
    ],
)
def test_names_are_completed_as_containerd_does(name: str, full: str) -> None:
    assert qualified(name) == full


@pytest.mark.parametrize("text", [DEB822, ONE_LINE])
def test_the_hosts_mirror_is_read_in_both_of_apts_formats(text: str) -> None:
    found = mirror([text])

    assert found == Mirror("http://mirror.test/debian", "http://mirror.test/debian-security")


def test_a_host_without_sources_leaves_debootstrap_its_default() -> None:
    assert mirror([]) == Mirror()
    assert sources_list(Mirror()) == ""


def test_the_image_gets_its_own_suites_from_the_hosts_mirror() -> None:
    text = sources_list(Mirror("http://mirror.test/debian", "http://mirror.test/security"))

    assert text.splitlines() == [
        "deb http://mirror.test/debian trixie main",
        "deb http://mirror.test/debian trixie-updates main",
        "deb http://mirror.test/security trixie-security main",
    ]


def test_an_image_of_one_program_is_an_archive_as_docker_saves_it() -> None:
    archive = image_archive("docker.io/a/b:1", b"program")

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        (manifest,) = json.load(file)
        assert manifest["RepoTags"] == ["docker.io/a/b:1"]
        assert {manifest["Config"], *manifest["Layers"]} <= set(tar.getnames())
