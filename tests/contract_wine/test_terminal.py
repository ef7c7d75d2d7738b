# SPDX-License-Identifier: Apache-2.0
"""A terminal in the image, kept as the agent keeps it. It is a stand-in: Windows Python by another
name, which shows a window and writes a journal (`stub_terminal.py`)."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract_wine.wine import START_S, Pod

pytestmark = [pytest.mark.contract, pytest.mark.timeout(900)]
HERE = Path(__file__).parent


@pytest.fixture
def with_terminal(pod: Pod) -> Iterator[Pod]:
    """Return the pod with a terminal where an image has its own."""
    place = pod.path("opt/mt5/terminal")
    place.rmdir()
    shutil.copytree(
        pod.path("opt/mt5/python"), place, ignore=shutil.ignore_patterns("site-packages")
    )
    (place / "python.exe").rename(place / "terminal64.exe")
    (place / "python311._pth").write_text("python311.zip\r\n.\r\nimport site\r\n")
    shutil.copy(HERE / "stub_terminal.py", place / "sitecustomize.py")
    yield pod
    shutil.rmtree(place)
    place.mkdir()


def test_a_terminal_is_closed_politely_and_never_outlives_its_keeper(with_terminal: Pod) -> None:
    source = (HERE / "keep_terminal.py").read_text()

    process = with_terminal.start(["/usr/bin/python3", "-c", source])
    try:
        output, errors = process.communicate(timeout=START_S)
    finally:
        with_terminal.end(process)

    assert process.returncode == 0, errors
    assert json.loads(output) == {
        "code": 0,
        "journal": ["started /portable window True", "stopped"],
        "ran": True,
        "left": False,
    }
