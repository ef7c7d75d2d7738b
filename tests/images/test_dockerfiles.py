# SPDX-License-Identifier: Apache-2.0
"""What must hold for the images of terminals, read from their files."""

import re
import subprocess
from pathlib import Path

import pytest

from cluster.paths import REPOSITORY
from images import dockerfile, powershell

IMAGES = REPOSITORY / "images"
WINE, WINDOWS = IMAGES / "wine", IMAGES / "windows"
KNOWN = {"FROM", "ARG", "COPY", "RUN", "ENV", "USER", "VOLUME", "ENTRYPOINT", "LABEL", "WORKDIR"}
BINARIES = {".exe", ".dll", ".zip", ".msi", ".whl", ".pyd", ".dat"}
TERMINAL_IMAGES = pytest.mark.parametrize("folder", [WINE, WINDOWS], ids=lambda path: path.name)


def files(folder: Path) -> list[Path]:
    return [
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]


@TERMINAL_IMAGES
def test_every_instruction_is_one_that_builders_know(folder: Path) -> None:
    assert {instruction.word for instruction in dockerfile.of(folder)} <= KNOWN


@TERMINAL_IMAGES
def test_what_a_build_copies_from_the_context_exists(folder: Path) -> None:
    copies = [i.rest for i in dockerfile.of(folder) if i.word == "COPY" and "--from" not in i.rest]
    sources = [word for rest in copies for word in rest.split()[:-1]]

    assert sources
    assert all(list(REPOSITORY.glob(source)) for source in sources), sources


def test_the_wine_image_runs_as_a_user_without_rights() -> None:
    users = [i.rest for i in dockerfile.last_stage(dockerfile.of(WINE)) if i.word == "USER"]

    assert users[-1] == "65532:65532"


def test_both_windows_images_run_as_the_container_user() -> None:
    users = [i.rest for i in dockerfile.of(WINDOWS) if i.word == "USER"]

    assert users == ["ContainerUser", "ContainerUser"]


@TERMINAL_IMAGES
def test_entry_points_are_in_exec_form_so_that_signals_arrive(folder: Path) -> None:
    entries = [i for i in dockerfile.of(folder) if i.word == "ENTRYPOINT"]

    assert entries
    assert all(dockerfile.exec_form(entry)[0] for entry in entries)


def test_the_wine_image_never_sets_tmpdir() -> None:
    assert not any(
        instruction.word == "ENV" and "TMPDIR" in instruction.rest
        for instruction in dockerfile.of(WINE)
    )


@TERMINAL_IMAGES
def test_no_secret_proxy_or_client_configuration_is_in_an_image(folder: Path) -> None:
    forbidden = (
        r"(?i)https?_proxy|index[-_]url|extra-index|trusted-host|password\s*=\s*\w|pip\.conf"
    )

    found = [path.name for path in files(folder) if re.search(forbidden, path.read_text())]

    assert found == []


@TERMINAL_IMAGES
def test_the_only_address_is_that_of_python_itself(folder: Path) -> None:
    addresses = {
        address
        for path in files(folder)
        for address in re.findall(r"https?://([^/\s\"']+)", path.read_text())
    }

    assert addresses <= {"www.python.org"}


@TERMINAL_IMAGES
def test_what_is_downloaded_is_checked_by_its_hash(folder: Path) -> None:
    arguments = dict(i.rest.split("=", 1) for i in dockerfile.of(folder) if i.word == "ARG")

    assert re.fullmatch("[0-9a-f]{64}", arguments["PYTHON_SHA256"])
    assert arguments["TERMINAL_SHA256"] == '""'  # without one, a given terminal is refused


def test_wine_and_windows_take_the_same_python() -> None:
    pins = [
        [i.rest for i in dockerfile.of(folder) if i.word == "ARG" and "PYTHON_" in i.rest]
        for folder in (WINE, WINDOWS)
    ]

    assert pins[0] == pins[1]


@pytest.mark.parametrize("lock", sorted(WINE.glob("*.txt")), ids=lambda path: path.name)
def test_each_lock_pins_and_hashes_every_package(lock: Path) -> None:
    text = lock.read_text()
    pins = re.findall(r"(?m)^[a-z0-9-]+==[0-9.]+ \\$", text)

    assert pins
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) == len(pins)
    assert "://" not in text


def test_the_pinned_package_is_the_one_whose_contract_is_tested() -> None:
    from contract import wheel

    assert f"metatrader5=={wheel.VERSION} " in (WINE / "windows-python.txt").read_text()


def test_both_ends_of_the_wire_have_the_same_msgspec() -> None:
    pins = [
        re.findall(r"(?m)^msgspec==\S+", path.read_text())
        for path in (
            WINE / "windows-python.txt",
            WINE / "linux-python.txt",
            REPOSITORY / "locks" / "sidecar.txt",
        )
    ]

    assert pins[0] == pins[1] == pins[2]
    assert len(pins[0]) == 1


def test_no_terminal_and_no_other_binary_is_in_the_repository() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "images", "tests"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()

    assert [name for name in tracked if Path(name).suffix.lower() in BINARIES] == []


@TERMINAL_IMAGES
def test_each_image_that_is_run_says_what_it_is_and_of_which_version(folder: Path) -> None:
    words = [instruction.word for instruction in dockerfile.of(folder)]
    labels = [i.rest for i in dockerfile.of(folder) if i.word == "LABEL"]

    assert len(labels) == words.count("ENTRYPOINT")
    for label in labels:
        names = re.findall(r"org\.opencontainers\.image\.(\w+)=", label)
        assert names == ["title", "description", "licenses", "version"]


@TERMINAL_IMAGES
def test_shell_scripts_stop_at_the_first_error(folder: Path) -> None:
    scripts = [path for path in files(folder) if path.read_text().startswith("#!/bin/sh")]

    for script in scripts:
        text = script.read_text()
        assert "\nset -eu\n" in text or "\nexec " in text, script
        subprocess.run(["sh", "-n", script], check=True)


@pytest.mark.parametrize("script", sorted(WINDOWS.glob("*.ps1")), ids=lambda path: path.name)
def test_powershell_scripts_are_strict_and_say_nothing_that_is_not_there(script: Path) -> None:
    text = script.read_text()

    assert "Set-StrictMode" in text
    assert "$ErrorActionPreference = 'Stop'" in text
    assert powershell.faults(text) == []


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("$a = 1; Write-Output $a", None),
        ("param([int]$Wait)\nStart-Sleep -Seconds $Wait", None),
        ("if ($true) { Write-Output 'x'", "not PowerShell"),
        ("Write-Outptu 'x'", "no such command: Write-Outptu"),
        ("gci C:\\", "no such command: gci"),
        ("$result = 1; Write-Output $reslut", "never set: $reslut"),
        ("$a.b = 1", "never set: $a"),
        ('Write-Output "in $text"', "never set: $text"),
        ("$a = Get-Content C:\\x\n$a | ConvertTo-Json", "more than its text goes into JSON"),
        ('$a = @(Get-Content C:\\x | ForEach-Object { "$_" })\n$a | ConvertTo-Json', None),
        ("function Get-It { 1 }\n$x = Get-It; Write-Output $X $env:TEMP", None),
    ],
)
def test_a_wrong_script_is_found(script: str, fault: str | None) -> None:
    found = powershell.faults(script)

    assert [True for each in found if fault and fault in each] == [True] * bool(fault)
    assert bool(found) is bool(fault)


def defaults(folder: Path) -> dict[str, str]:
    """Return the build arguments' defaults."""
    arguments = [i.rest.partition("=") for i in dockerfile.of(folder) if i.word == "ARG"]
    return {name: value.strip('"') for name, _, value in arguments}


def test_the_windows_images_are_servercore_of_one_release_and_can_be_server() -> None:
    bases = [i.rest for i in dockerfile.of(WINDOWS) if i.word == "FROM" and "windows/" in i.rest]

    assert (defaults(WINDOWS)["VARIANT"], defaults(WINDOWS)["RELEASE"]) == (
        "servercore",
        "ltsc2022",
    )
    assert len(bases) == 2
    assert all("mcr.microsoft.com/windows/${VARIANT}:${RELEASE}" in base for base in bases)


def test_the_windows_images_carry_python_3_11_and_the_package_but_no_terminal() -> None:
    pinned = (WINE / "windows-python.txt").read_text()

    assert "/python-3.11.9-embed-amd64.zip" in defaults(WINDOWS)["PYTHON_SOURCE"]
    assert re.search(r"^metatrader5==\S+ \\\n\s+--hash=", pinned, re.MULTILINE)
    assert defaults(WINDOWS)["TERMINAL_SHA256"] == ""
    (stage,) = [i.rest for i in dockerfile.of(WINDOWS) if i.rest.endswith("AS terminal-archive")]
    assert stage.startswith("scratch")  # who builds with nothing gets an image without one


def test_what_the_self_test_on_windows_looks_for_is_documented() -> None:
    probed = re.findall(r"Test-Finding '([\w-]+)'", (WINDOWS / "selftest.ps1").read_text())
    documented = (REPOSITORY / "docs" / "windows.md").read_text()
    assert "build-match" in probed
    assert all(f"`{name}`" in documented for name in probed)
