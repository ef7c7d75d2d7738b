# SPDX-License-Identifier: Apache-2.0
"""Which way the agent comes: by the socket beside the token where a sidecar listens, else by the
port."""

from mt5_agent.protocol import READ_BYTES
from mt5_agent.wire import Wire


async def test_the_agent_comes_by_the_socket_where_a_sidecar_listens(made_agent, sidecar):
    await sidecar.listen_nearer()

    await made_agent.start()
    await sidecar.joined()
    sidecar.login()
    await sidecar.serves()

    await sidecar.until(lambda: "sidecar joined by socket" in made_agent.log)
    assert "joined by port" not in made_agent.log


async def test_a_socket_that_is_left_over_keeps_no_agent_from_the_port(made_agent, sidecar):
    await sidecar.leave_the_socket()

    await made_agent.start()
    await sidecar.joined()

    await sidecar.until(lambda: "sidecar joined by port" in made_agent.log)


async def test_a_token_that_is_none_is_waited_for_until_it_is_one(made_agent, sidecar):
    token = sidecar.token_file.read_text()
    sidecar.token_file.write_bytes(b"\xff\xfe")
    await made_agent.start()
    await made_agent.says("terminal started")

    assert made_agent.process.returncode is None
    sidecar.token_file.write_text(token)
    await sidecar.joined()


async def test_an_agent_finds_the_other_way_when_its_own_is_gone(made_agent, sidecar):
    await sidecar.listen_nearer()
    await made_agent.start()
    await sidecar.joined()
    await sidecar.leave_the_socket()

    sidecar.hang_up()
    await sidecar.joined()
    sidecar.login()

    await sidecar.serves()
    await sidecar.until(lambda: "sidecar joined by port" in made_agent.log)


async def test_the_connection_reads_into_one_buffer_that_the_heap_gives():
    wire = Wire(room=lambda: True)

    first, second = wire.get_buffer(-1), wire.get_buffer(256 * 1024)

    assert first.obj is second.obj
    assert len(first) == READ_BYTES
