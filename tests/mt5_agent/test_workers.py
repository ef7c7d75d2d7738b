# SPDX-License-Identifier: Apache-2.0
"""The supervisor's end of a worker: what it hears, and what it never confuses."""

import asyncio
import os
import sys

import pytest

from cluster.waiting import patience_s
from mt5_agent.pipe import Done, Job, Ready
from mt5_agent.protocol import READ_BYTES, encode
from mt5_agent.workers import WorkerGone, WorkerProcess

READY = encode(Ready(package="5.0"))
ANSWER = encode(Done(ok=True))
# Says hello, and answers each job as its arguments tell.
SCRIPT = """
import os, sys
ready, answer, how = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2]), sys.argv[3]
os.write(1, ready)
while os.read(0, 65536):
    if how == "answers": os.write(1, answer)
    if how == "in pieces":
        for byte in answer: os.write(1, bytes([byte]))
    if how == "nonsense": os.write(1, b"\\xff" * 8)
    if how == "answers and ends": os.write(1, answer); sys.exit()
    if how == "ends": sys.exit()
"""


async def start(how: str) -> WorkerProcess:
    argv = [sys.executable, "-c", SCRIPT, READY.hex(), ANSWER.hex(), how]
    return await WorkerProcess.start(argv, within_s=60)


@pytest.mark.parametrize("how", ["answers", "in pieces", "answers and ends"])
async def test_an_answer_is_heard(how):
    worker = await start(how)
    try:
        async with asyncio.timeout(patience_s(20)):
            done = await worker.do(Job("version"))
    finally:
        await worker.kill()

    assert (worker.package, done.ok) == ("5.0", True)


async def test_no_read_asks_for_more_than_the_heap_gives(monkeypatch):
    # More would be mapped for each read and let go again: 15 us of every call (adr/090).
    asked, read = [], os.read
    worker = await start("answers")
    monkeypatch.setattr(os, "read", lambda fd, size: asked.append(size) or read(fd, size))
    try:
        async with asyncio.timeout(patience_s(20)):
            await worker.do(Job("version"))
    finally:
        await worker.kill()

    assert asked
    assert max(asked) <= READ_BYTES < 128 * 1024  # M_MMAP_THRESHOLD of mallopt(3)


@pytest.mark.parametrize("how", ["ends", "nonsense"])
async def test_a_worker_that_cannot_be_understood_or_ends_is_gone(how):
    worker = await start(how)
    try:
        async with asyncio.timeout(patience_s(20)):
            with pytest.raises(WorkerGone):
                await worker.do(Job("version"))
            await worker.ended()
            with pytest.raises(WorkerGone):  # and stays so
                await worker.do(Job("version"))
    finally:
        await worker.kill()


async def test_a_second_job_never_gets_the_answer_of_the_first():
    worker, ends = await start("never"), []
    try:
        worker.give(Job("first"), lambda done: ends.append(("first", done)))
        worker.give(Job("second"), lambda done: ends.append(("second", done)))

        assert ends == [("second", None)]
    finally:
        await worker.kill()

    assert ends == [("second", None), ("first", None)]


async def test_a_killed_worker_is_waited_for_and_says_so_at_once():
    worker, ends = await start("never"), []
    worker.give(Job("order_send"), ends.append)

    async with asyncio.timeout(patience_s(20)):
        await worker.kill()

    assert ends == [None]


async def test_a_worker_without_a_first_word_is_none():
    with pytest.raises(WorkerGone):
        await WorkerProcess.start([sys.executable, "-c", "pass"], within_s=60)


async def test_a_worker_that_says_nothing_is_waited_for_as_long_as_is_set():
    async with asyncio.timeout(patience_s(20)):
        with pytest.raises(WorkerGone, match="no first word"):
            await WorkerProcess.start(
                [sys.executable, "-c", "import time; time.sleep(60)"], within_s=0.05
            )
