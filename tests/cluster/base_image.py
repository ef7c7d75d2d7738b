# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Debian's image on the public registry, made with debootstrap.

It has the registry's name, so Dockerfiles build on it unchanged. What this host needs to reach
package registries (mirror, proxy, certificates, pip's settings) is read from the host when the
image is made, and is in this image only; the repository never knows it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.command import run

SUITE: Final = "trixie"
IMAGE: Final = f"docker.io/library/debian:{SUITE}-slim"

_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_OWN_CERTIFICATES: Final = Path("/usr/local/share/ca-certificates")
# What the slim image on the registry leaves out, too.
_NOT_IN_SLIM: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")
_EMPTIED: Final = ("var/cache/apt/archives", "var/lib/apt/lists", "var/log", "tmp")


@dataclass(frozen=True)
class Mirror:
    """Where this host gets Debian from; empty where debootstrap's own default will do."""

    archive: str = ""
    security: str = ""


def mirror(sources: Iterable[str]) -> Mirror:
    """Return the mirror that apt's source files of a Debian host name, given their texts."""
    archive = security = ""
    for uri, suites in _entries(sources):
        if "-security" in suites:
            security = security or uri
        elif "-backports" not in suites:
            archive = archive or uri
    return Mirror(archive, security)


def sources_list(found: Mirror) -> str:
    """Return the apt sources of the image."""
    lines = []
    if found.archive:
        lines += [f"deb {found.archive} {suite} main" for suite in (SUITE, f"{SUITE}-updates")]
    if found.security:
        lines.append(f"deb {found.security} {SUITE}-security main")
    return "".join(f"{line}\n" for line in lines)


def host_mirror() -> Mirror:
    """Return where this host gets Debian from."""
    if "ID=debian\n" not in Path("/etc/os-release").read_text():
        return Mirror()
    etc = Path("/etc/apt")
    files = [etc / "sources.list", *sorted(etc.glob("sources.list.d/*"))]
    return mirror(file.read_text() for file in files if _is_source(file))


def recipe() -> str:
    """Return all that decides what the image becomes on this host."""
    files = "".join(f"{target}\n{content}\n" for target, content in _host_files().items())
    return f"{SUITE} {host_mirror()}\n{files}\n{Path(__file__).read_text()}"


def make_root(root: Path) -> None:
    """Make the image's root file system in the empty directory `root`.

    Raises:
        CommandFailed: debootstrap failed.
    """
    found = host_mirror()
    keyring = [f"--keyring={_KEYRING}"] if Path(_KEYRING).exists() else []
    command = ["debootstrap", "--variant=minbase", *keyring, SUITE, str(root)]
    run([*command, *([found.archive] if found.archive else [])], env=_environment())
    for name in _NOT_IN_SLIM:
        shutil.rmtree(root / name, ignore_errors=True)
    for name in _EMPTIED:
        _empty(root / name)
    if listed := sources_list(found):
        (root / "etc/apt/sources.list").write_text(listed)
    for target, content in _host_files().items():
        _write(root / target.lstrip("/"), content)


def _environment() -> dict[str, str]:
    return os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


def _is_source(file: Path) -> bool:
    return file.is_file() and file.suffix in (".list", ".sources")


def _entries(sources: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in sources:
        yield from re.findall(r"(?m)^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", text)
        for stanza in re.split(r"\n\s*\n", text):
            uri = re.search(r"(?m)^URIs:\s*(\S+)", stanza)
            suites = re.search(r"(?m)^Suites:\s*(.+)$", stanza)
            if uri and suites:
                yield uri[1], suites[1]


def _host_files() -> dict[str, str]:
    files = [_CERTIFICATES, *sorted(_OWN_CERTIFICATES.glob("*.crt")), *_apt_files()]
    content = {str(file): file.read_text() for file in files if file.is_file()}
    if settings := _pip_settings():
        content["/etc/pip.conf"] = settings
    return content


def _apt_files() -> list[Path]:
    # Only how to download: hooks of the host have no business in an image.
    files = sorted(Path("/etc/apt/apt.conf.d").glob("*"))
    return [file for file in files if file.is_file() and _only_downloads(file.read_text())]


def _only_downloads(text: str) -> bool:
    settings = [line for line in text.splitlines() if re.match(r"\s*[A-Za-z]", line)]
    return bool(settings) and all(line.strip().startswith("Acquire::") for line in settings)


def _pip_settings() -> str:
    home = Path.home()
    places = [home / ".config/pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")]
    return next((place.read_text() for place in places if place.is_file()), "")


def _empty(directory: Path) -> None:
    for entry in directory.glob("*"):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
