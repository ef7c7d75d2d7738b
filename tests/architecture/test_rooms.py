# SPDX-License-Identifier: Apache-2.0
"""What must hold for the repository as a whole."""

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("mt5_operator", "mt5_sidecar", "mt5_agent", "mt5_simulator")
# Importing these runs them.
PROGRAMS = re.compile(r"__main__$")


def modules() -> list[str]:
    """Return the name of each module that can be imported without being run."""
    found = []
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        found += [package, *(m.name for m in pkgutil.walk_packages(path, f"{package}."))]
    return [name for name in found if not PROGRAMS.search(name)]


def tracked() -> list[Path]:
    """Return each text file that git tracks."""
    out = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / line for line in out.splitlines() if (ROOT / line).is_file()]


def test_the_folder_operator_does_not_shadow_pythons_own_module() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.fixture(scope="module")
def imported() -> dict[str, str]:
    """Return how the import of each module alone fails; empty where it does not."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests/architecture/imports_alone.py"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        input="\n".join(modules()),
        env={"PYTHONPATH": "operator:sidecar"},
        cwd=ROOT,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("module", modules())
def test_every_module_can_be_imported_alone(imported: dict[str, str], module: str) -> None:
    assert imported[module] == ""


def test_every_python_file_names_its_licence() -> None:
    missing = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix == ".py"
        and path.read_text().strip()
        and "SPDX-License-Identifier: Apache-2.0" not in path.read_text()[:200]
    ]

    assert missing == []


def test_lock_files_pin_hashes_and_name_no_index() -> None:
    for lock in (ROOT / "locks").glob("*.txt"):
        text = lock.read_text()
        pins = re.findall(r"^[A-Za-z0-9_.\[\]-]+==\S+", text, flags=re.MULTILINE)
        assert pins, lock
        assert len(re.findall(r"--hash=sha256:", text)) >= len(pins), lock
        assert "://" not in text, lock
