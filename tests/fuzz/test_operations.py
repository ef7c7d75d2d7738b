# SPDX-License-Identifier: Apache-2.0
"""R6: schemathesis over every operation of the document, against the real processes.

It runs as a process of its own, so that its plugins and warnings are not ours.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pod import ALL, Pod
from sidecar_rig import eventually

from mt5_sidecar.api.operations import OPERATIONS

HERE = Path(__file__).parent
# `make fuzz` asks for more.
EXAMPLES = os.environ.get("MT5_FUZZ_EXAMPLES", "15")
SEED = os.environ.get("MT5_FUZZ_SEED", "1")
LOGIN = ("/api/connect", "/api/disconnect")
ENDS_WITHIN_S = 1500.0


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Pod]:
    made = Pod(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def schemathesis(pod: Pod, *options: str, operations: int) -> None:
    """Return when it has found nothing wrong with that many operations."""
    # From a file: of a document that it fetched, schemathesis leaves that operation out.
    document = pod.rig.folder / "openapi.json"
    document.write_bytes((await pod.rig.get("/openapi.json", key=None)).body)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
        *("run", str(document), "--url", pod.url, "--header", f"X-API-Key: {ALL}"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", SEED),
        *("--continue-on-failure", "--no-color", *options),
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await asyncio.wait_for(process.communicate(), ENDS_WITHIN_S)
    said = told.decode()
    print(said[said.rfind("Test Phases") :])  # noqa: T201  what a failure shows
    assert process.returncode == 0, said
    assert re.search(rf"Tested: {operations}$", said, re.MULTILINE), said


def _each(option: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (option, value)]


@pytest.mark.timeout(ENDS_WITHIN_S)
async def test_every_operation_answers_anything_as_its_document_says(pod: Pod) -> None:
    others = len(OPERATIONS) - len(LOGIN)
    await schemathesis(pod, *_each("--exclude-path", LOGIN), operations=others)
    # Last, because they end the session that the others are to meet.
    await schemathesis(pod, *_each("--include-path", LOGIN), operations=len(LOGIN))

    assert pod.sidecar.process.returncode is None
    assert not pod.sidecar.said("unexpected_error")
    assert not pod.sidecar.said("stream_failed")
    answer = await pod.rig.request("POST", "/api/connect", key=ALL)
    assert answer.status == 200
    await eventually(
        lambda: pod.sidecar.said("connection")[-1]["state"] == "Connected", timeout_s=30
    )
