# SPDX-License-Identifier: Apache-2.0
"""The command line: `python -m cluster up`, `kubectl get nodes`, `down`; and see `--help`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster import binaries, images, state
from cluster.backends import Cluster, node_backend
from cluster.errors import ClusterError, Unsupported
from cluster.local import LocalCluster
from cluster.paths import REPOSITORY

DEFAULT_NAME = "demo"


def main(words: Sequence[str]) -> int:
    """Run one command, and return the exit status for the shell."""
    ours, theirs = _split(words)
    arguments = _parser().parse_args(ours)
    arguments.words = theirs
    command: Callable[[argparse.Namespace], int | None] = arguments.command
    try:
        return command(arguments) or 0
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130


def up(arguments: argparse.Namespace) -> None:
    """Start a cluster, or what is missing of it."""
    place = state.directory(arguments.name)
    before = state.wish(place) or state.Wish(node=False, kwok=False)
    wants_kwok = arguments.kwok or arguments.fake_linux > 0 or arguments.fake_windows > 0
    state.write_wish(
        place, state.Wish(node=arguments.node or before.node, kwok=wants_kwok or before.kwok)
    )
    cluster = _chosen(place)
    cluster.start()
    if isinstance(cluster, LocalCluster):
        cluster.control_plane.add_fake_nodes(arguments.fake_linux, os="linux")
        cluster.control_plane.add_fake_nodes(arguments.fake_windows, os="windows")
    command = f"python -m cluster env --name {arguments.name}"
    print(f'cluster {arguments.name} is up; for this shell: eval "$({command})"')


def down(arguments: argparse.Namespace) -> None:
    """End a cluster, and everything of it."""
    _chosen(state.directory(arguments.name)).stop()
    (state.directory(arguments.name) / "wish.json").unlink(missing_ok=True)
    print(f"cluster {arguments.name} is gone")


def status(arguments: argparse.Namespace) -> int:
    """Show what runs; the exit status is 1 if something that should run does not."""
    cluster = _running(arguments.name)
    if not isinstance(cluster, LocalCluster):
        raise Unsupported("only a local cluster's programs are ours to show")
    programs = cluster.programs()
    for program in programs:
        process = program.running
        print(f"{program.name:26} {f'runs as {process.pid}' if process else 'does not run'}")
    return 0 if all(program.running for program in programs) else 1


def show_kubeconfig(arguments: argparse.Namespace) -> None:
    """Print where the kubeconfig is."""
    print(_running(arguments.name).kubeconfig)


def env(arguments: argparse.Namespace) -> None:
    """Print what a shell needs to use the cluster."""
    path = ":".join(str(directory) for directory in binaries.directories())
    print(f"export KUBECONFIG={shlex.quote(str(_running(arguments.name).kubeconfig))}")
    print(f'export PATH={shlex.quote(path)}:"$PATH"')


def build_binaries(arguments: argparse.Namespace) -> None:
    """Build programs that the cache lacks, and print where they are."""
    for name in arguments.names or binaries.SOURCES:
        print(binaries.binary(name))


def load(arguments: argparse.Namespace) -> None:
    """Make images known to the node."""
    _running(arguments.name).load(*arguments.archives)


def make_base(arguments: argparse.Namespace) -> None:
    """Make the Debian image that all others are built on."""
    print(images.make_base().archive)


def build_image(arguments: argparse.Namespace) -> None:
    """Build an image from a Dockerfile, and print its name and archive."""
    dockerfile, context = arguments.dockerfile, arguments.context
    image = images.build_image(arguments.image, dockerfile=dockerfile, context=context)
    print(image.name, image.archive)


def logs(arguments: argparse.Namespace) -> None:
    """Print the end of every log of a cluster, or of one component."""
    for file in sorted((state.directory(arguments.name) / "logs").glob("*.log")):
        if arguments.component in ("", file.stem):
            print(f"==> {file}")
            lines = file.read_text(errors="replace").splitlines()
            print("\n".join(lines[-arguments.lines :]))


def become(arguments: argparse.Namespace) -> None:
    """Become kubectl or helm on a cluster."""
    program = binaries.binary(arguments.program)
    os.environ["KUBECONFIG"] = str(_running(arguments.name).kubeconfig)
    os.execv(program, [arguments.program, *arguments.words])  # noqa: S606 - a shell has no part in it


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    # What follows the name of another program is for that one, options too.
    for index, word in enumerate(words):
        if word in ("kubectl", "helm") and "binaries" not in words[:index]:
            return words[: index + 1], words[index + 1 :]
    return words, []


def _chosen(place: Path) -> Cluster:
    kind = os.environ.get("CLUSTER", "")
    if kind not in ("", "local"):
        return node_backend(kind, place)
    wish = state.wish(place) or state.Wish()
    return LocalCluster(place, with_node=wish.node, with_kwok=wish.kwok, outlives_us=True)


def _running(name: str) -> Cluster:
    place = state.directory(name)
    if state.wish(place) is None:
        raise Unsupported(f"no cluster {name}: python -m cluster up --name {name}")
    return _chosen(place)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    default = os.environ.get("CLUSTER_NAME", DEFAULT_NAME)
    parser.add_argument("--name", default=default, help="which cluster (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], object]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=command.__doc__)
        # After the command, too; SUPPRESS keeps a --name from before it.
        made.add_argument("--name", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        made.set_defaults(command=command)
        return made

    upward = add("up", up)
    upward.add_argument("--node", action="store_true", help="with a real node (root)")
    upward.add_argument("--kwok", action="store_true", help="with KWOK, for fake nodes")
    upward.add_argument("--fake-linux", type=int, default=0, metavar="N", help="add fake nodes")
    upward.add_argument("--fake-windows", type=int, default=0, metavar="N", help="add fake nodes")
    add("down", down)
    add("status", status)
    add("kubeconfig", show_kubeconfig)
    add("env", env)
    add("binaries", build_binaries).add_argument("names", nargs="*", metavar="NAME")
    add("load", load).add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE")
    making = commands.add_parser("images", help="make container images without Docker")
    kinds = making.add_subparsers(required=True, metavar="KIND")
    kinds.add_parser("base", help=make_base.__doc__).set_defaults(command=make_base)
    building = kinds.add_parser("build", help=build_image.__doc__)
    building.add_argument("image", metavar="NAME")
    building.add_argument("dockerfile", type=Path, metavar="DOCKERFILE")
    building.add_argument("context", type=Path, nargs="?", default=REPOSITORY, metavar="CONTEXT")
    building.set_defaults(command=build_image)
    logging = add("logs", logs)
    logging.add_argument("component", nargs="?", default="")
    logging.add_argument("--lines", type=int, default=20)
    for program in ("kubectl", "helm"):
        becoming = commands.add_parser(
            program, help=f"run {program} on the cluster", add_help=False
        )
        becoming.add_argument("words", nargs=argparse.REMAINDER)
        becoming.set_defaults(command=become, program=program)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
