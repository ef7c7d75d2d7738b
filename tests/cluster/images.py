# SPDX-License-Identifier: Apache-2.0
"""Container images without Docker and without a registry: buildah, with a storage of its own.

Images are built from ordinary Dockerfiles on a Debian base that is made here (`base_image`), and
kept as archives in the cache, named by the hash of all that went into them; a node loads those.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster import base_image, build_context, packages
from cluster.command import run, succeeds
from cluster.contained import CONTAINED, unmount_below
from cluster.errors import CommandFailed
from cluster.paths import cache

_KEPT_ARCHIVES: Final = 3  # of each image; other checkouts may use older ones
_POLICY: Final = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
_REGISTRIES: Final = 'unqualified-search-registries = ["docker.io"]\n'


@dataclass(frozen=True)
class Image:
    """A built image: its full name, with the tag, and the archive that holds it."""

    name: str
    archive: Path


def qualified(name: str) -> str:
    """Return an image's name with its registry, as containerd will call it."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def build_image(
    name: str,
    *,
    dockerfile: Path,
    context: Path,
    arguments: Mapping[str, str] | None = None,
) -> Image:
    """Return the image that a Dockerfile describes; builds it unless the cache has it.

    Without a tag in `name`, the tag is made of the hash, so that a new content is a new name, and
    pods are made anew.

    Raises:
        CommandFailed: the build failed; the message ends with the build's own words.
        Unsupported: packages are missing that cannot be installed.
    """
    given = dict(arguments or {})
    salt = f"{base_image.recipe()}{sorted(given.items())}{name}"
    digest = build_context.digest(dockerfile, context, salt=salt)[:16]
    full = qualified(name if ":" in name.rpartition("/")[2] else f"{name}:{digest}")
    archive = _archives() / f"{_file_name(name)}-{digest}.tar"
    if archive.exists():
        archive.touch()
        return Image(full, archive)
    make_base()
    with _alone():
        _build(full, dockerfile, context, given, log=archive.with_suffix(".log"))
        _push(full, archive)
        _remove_old(name)
    return Image(full, archive)


def make_base() -> Image:
    """Return the Debian image that others are built on; makes it unless the storage has it.

    Raises:
        CommandFailed: debootstrap or buildah failed.
        Unsupported: packages are missing that cannot be installed.
    """
    packages.ensure(packages.BUILDER)
    digest = hashlib.sha256(base_image.recipe().encode()).hexdigest()[:16]
    archive = _archives() / f"debian-{digest}.tar"
    with _alone():
        if archive.exists() and succeeds([*_buildah(), "inspect", "--type=image", _mark(digest)]):
            run([*_buildah(), "tag", _mark(digest), base_image.IMAGE])  # of several, this one
            return Image(base_image.IMAGE, archive)
        _say(f"making the base image {base_image.IMAGE} (usually 45 s) ...")
        _commit_base(_mark(digest))
        _push(base_image.IMAGE, archive)
    return Image(base_image.IMAGE, archive)


def _mark(digest: str) -> str:
    return f"localhost/test-cluster/base:{digest}"


def _commit_base(mark: str) -> None:
    root = cache() / "containers" / "base-root"
    shutil.rmtree(root, ignore_errors=True)
    try:
        root.mkdir(parents=True)
        root.chmod(0o755)
        _make_root(root)
        container = run([*_buildah(), "from", "scratch"]).strip()
        run([*_buildah(), "add", container, str(root), "/"])
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        run([*_buildah(), "config", "--cmd", "bash", "--env", path, container])
        run([*_buildah(), "commit", "--rm", *_policy(), container, base_image.IMAGE])
        run([*_buildah(), "tag", base_image.IMAGE, mark])
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _make_root(root: Path) -> None:
    # debootstrap mounts, too: in a process of its own, whose namespaces end with it.
    code = "import sys; from cluster import base_image as b; b.make_root(b.Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    run([*CONTAINED, sys.executable, "-c", code, root], env=environment)


def _build(
    name: str, dockerfile: Path, context: Path, arguments: Mapping[str, str], *, log: Path
) -> None:
    _say(f"building the image {name} (usually 1 to 3 min the first time) ...")
    began = time.monotonic()
    given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    options = ["--pull-never", "--layers", "--format=docker", *_policy(), *given]
    places = ["--file", str(dockerfile), str(context)]
    argv = [*_buildah(), "build", *options, "--tag", name, *places]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        done = subprocess.run(argv, env=_environment(), stdout=output, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        end = log.read_text(errors="replace")[-3000:]
        raise CommandFailed(f"building {name} failed, see {log}:\n{end}")
    _say(f"built {name} in {time.monotonic() - began:.0f} s")


def _push(name: str, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    draft = archive.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    run([*_buildah(), "push", *_policy(), name, f"docker-archive:{draft}:{name}"])
    draft.rename(archive)


def _remove_old(name: str) -> None:
    file_name = _file_name(name)
    found = [file for file in _archives().glob(f"{file_name}-*.tar") if _is_of(file, file_name)]
    for file in sorted(found, key=lambda file: file.stat().st_mtime)[:-_KEPT_ARCHIVES]:
        tag = f"{qualified(name)}:{file.stem.rpartition('-')[2]}"
        with contextlib.suppress(CommandFailed):  # an image with a tag of its own has no other
            run([*_buildah(), "rmi", tag])
        file.unlink()
        file.with_suffix(".log").unlink(missing_ok=True)


def _is_of(file: Path, name: str) -> bool:
    return re.fullmatch(f"{re.escape(name)}-[0-9a-f]{{16}}", file.stem) is not None


def _buildah() -> list[str]:
    storage = cache() / "containers"
    # An overlay on an overlay is refused by the kernel; the other driver copies, and always works.
    file_system = run(["stat", "--file-system", "--format=%T", str(_existing(storage))]).strip()
    driver = "vfs" if file_system == "overlayfs" else "overlay"
    places = [f"--root={storage / 'storage'}", f"--runroot={storage / 'run'}"]
    registries = _written(storage / "registries.conf", _REGISTRIES)
    own = [*places, f"--storage-driver={driver}", f"--registries-conf={registries}"]
    return [*CONTAINED, "buildah", *own]


def _policy() -> list[str]:
    return [f"--signature-policy={_written(cache() / 'containers' / 'policy.json', _POLICY)}"]


def _existing(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _written(path: Path, content: str) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return path


def _environment() -> dict[str, str]:
    # Builds need no container of their own: they run nothing but package managers.
    return os.environ | {"BUILDAH_ISOLATION": "chroot"}


@contextmanager
def _alone() -> Iterator[None]:
    with (_existing(cache() / "containers") / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unmount_below(cache() / "containers")  # of builds before each had mounts of its own
        yield


def _archives() -> Path:
    return cache() / "images"


def _file_name(name: str) -> str:
    return re.sub("[^a-zA-Z0-9.]+", "-", name)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
