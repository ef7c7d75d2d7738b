# SPDX-License-Identifier: Apache-2.0
"""R8: secrets are planted in a pod's processes, everything is done, and everything is searched."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import jwt
import operator_caller
import pytest
from issuer import OURS, SECRET, claims
from pod import ALL, SCOPES, Pod
from sidecar_process import told_by_the_kernel
from sidecar_rig import api_key, eventually, heard, key_record

from cluster.waiting import patience_s
from mt5_sidecar.api.operations import OPERATIONS

PASSWORD: Final = "canary-c0ffee-password"
SECOND: Final = "canary-decade-second-password"
OPS: Final = ("/healthz", "/readyz", "/metrics", "/internal/state", "/internal/orders",
              "/internal/orders/journal")  # fmt: skip
PARTS: Final = {"{ticket}": "7", "{symbol}": "EURUSD", "{key}": "order-1"}
BUY: Final = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.01"}
# Where secrets are meant to be: what the kubelet mounts, and the token between the containers.
MOUNTED: Final = ("credentials", "access", "agent", "jwt")


def token(**changed: Any) -> str:
    return jwt.encode(claims(mt5_scopes=[*SCOPES], **changed), SECRET, "HS256")


class Canaries:
    """What must be nowhere, and in which forms it is looked for."""

    def __init__(self, **secrets: str) -> None:
        self._forms = {
            f"{name} ({form})": found
            for name, secret in secrets.items()
            for form, found in _forms(secret)
        }

    def in_(self, data: bytes | str) -> list[str]:
        """Return the names of those in `data`."""
        raw = data.encode() if isinstance(data, str) else data
        return [name for name, form in self._forms.items() if form in raw]


def _forms(secret: str) -> Iterator[tuple[str, bytes]]:
    raw = secret.encode()
    yield "as it is", raw
    yield "UTF-16", secret.encode("utf-16-le")
    yield "base64", base64.b64encode(raw).rstrip(b"=")
    yield "hex", raw.hex().encode()


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Pod]:
    secret = tmp_path / "jwt/secret"
    secret.parent.mkdir()
    secret.write_bytes(SECRET)
    made = Pod(tmp_path, **OURS, jwt_secret_file=secret)
    made.rig.put("credentials/password", PASSWORD)
    made.rig.put("access/operator.jwks.json", operator_caller.jwks())
    await made.start()
    yield made
    if made.sidecar.process.returncode is None:
        await made.stop()


def processes(pod: Pod) -> list[int]:
    """Return the sidecar, and the agent with its worker and its terminal."""
    agent = pod.agent._process.pid
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    return [pod.sidecar.process.pid, agent, *map(int, children)]


async def everything_asked(pod: Pod, headers: dict[str, str]) -> list[bytes]:
    """Return the answers of all operations, and of those who may not."""
    rig, said = pod.rig, []
    for operation in OPERATIONS:
        if operation.websocket:
            continue
        path = operation.path
        for name, value in PARTS.items():
            path = path.replace(name, value)
        body = BUY | {"client_order_id": "order-1"} if operation.accepts else None
        for head in (headers, {}):
            answer = await rig.request(operation.method, path, key=None, headers=head, json=body)
            said += [answer.body, repr(answer.headers).encode()]
    for path in OPS:
        answer = await rig.ops(path, headers=bearer(operator_caller.token()))
        said += [answer.body, repr(answer.headers).encode()]
        said += [(await rig.ops(path, headers=headers)).body]
    return said


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


async def streamed(pod: Pod, **who: Any) -> list[str]:
    """Return what streams say to one who asks for much, and what to one who is refused."""
    socket = await pod.rig.ws(**who)
    said = [str(await heard(socket, "welcome")), str(await heard(socket, "snapshot"))]
    await socket.send('{"type": "mt5_command", "data": {"command": "account_info"}}')
    said.append(str(await heard(socket, "mt5_command_result")))
    await socket.send("{nonsense")
    return [*said, str(await heard(socket, "error"))]


async def sends(pod: Pod, *lines: bytes) -> bytes:
    """Return the answer to a request that need not be HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", pod.rig.sidecar.api_port)
    writer.write(b"\r\n".join((*lines, b"", b"")))
    answer = await asyncio.wait_for(reader.read(), patience_s(20))
    writer.close()
    return answer.split(b"\r\n\r\n")[0]


def said_last(pod: Pod) -> object:
    return pod.sidecar.said("connection")[-1]["state"]


async def test_no_secret_is_anywhere_that_it_is_not_meant_to_be(pod: Pod) -> None:
    rig = pod.rig
    agent_token = (rig.folder / "agent/token").read_text()
    good, ended, forged = token(), token(exp=1), jwt.encode(claims(), "x" * 32, "HS256")
    guess, operators = api_key("guess"), operator_caller.token()
    canaries = Canaries(
        password=PASSWORD, second_password=SECOND, key=ALL, guess=guess, secret=SECRET.decode(),
        token=good, ended_token=ended, forged_token=forged, operators_token=operators,
        agent_token=agent_token, signature=good.rpartition(".")[2],
    )  # fmt: skip

    said: list[bytes | str] = []
    for headers in ({"X-API-Key": ALL}, {"X-API-Key": guess}, bearer(good), bearer(ended),
                    bearer(forged), bearer(operators)):  # fmt: skip
        said += await everything_asked(pod, headers)
    said += await streamed(pod, key=ALL) + await streamed(pod, key=None, bearer=good)
    # No HTTP: what cannot be read must not be quoted into the log.
    said.append(await sends(pod, b"GET /api/status HTTP/1.1", b"X-API-Key: %b\0" % ALL.encode()))
    said.append(await sends(pod, b"GET /api/status HTTP/1.1", b"X-API-Key %b" % good.encode()))
    impostor = rig.new_agent_on(rig.settings.agent_port, token=f"{agent_token}x")
    await impostor.connect()
    await eventually(lambda: impostor.closed.is_set())
    seen = [text for pid in processes(pod) for text in told_by_the_kernel(pid)]
    rig.put("credentials/password", SECOND)
    await eventually(lambda: len(pod.sidecar.said("credentials_changed")) == 2)
    # Among all operations was /api/disconnect.
    assert (await rig.request("POST", "/api/connect", key=ALL)).status == 200
    await eventually(lambda: said_last(pod) == "Connected", timeout_s=30)
    rig.put_keys([key_record("other", accounts=["10001"], scopes=["read"])])
    seen += [text for pid in processes(pod) for text in told_by_the_kernel(pid)]
    await pod.stop()

    files = {path: path.read_bytes() for path in rig.folder.rglob("*") if path.is_file()}
    kept = {p: d for p, d in files.items() if p.relative_to(rig.folder).parts[0] not in MOUNTED}
    places: dict[str, list[bytes | str]] = {
        "an answer": said,
        "the environment or arguments": [*seen],
        "the sidecar's log": [*pod.sidecar.lines],
        "the agent's log": [pod.agent.log],
        "a file": [*kept.values()],
    }
    found = [
        (place, name, repr(data)[:300])
        for place, all_ in places.items()
        for data in all_
        for name in canaries.in_(data)
    ]
    assert found == []
    assert all(any(all_) for all_ in places.values())
    # The search finds what is there: the mounted files hold the secrets, the journal the orders.
    assert {n for p, d in files.items() if p not in kept for n in canaries.in_(d)} >= {
        "second_password (as it is)", "agent_token (as it is)", "secret (as it is)"
    }  # fmt: skip
    assert [path for path, data in kept.items() if b"order-1" in data and "journal" in path.parts]


@pytest.mark.parametrize("form", ["as it is", "UTF-16", "base64", "hex"])
def test_a_planted_secret_is_found_in_each_form(form: str) -> None:
    canaries = Canaries(password=PASSWORD)

    (planted,) = [found for name, found in _forms(PASSWORD) if name == form]

    assert canaries.in_(b"before" + planted + b"after") == [f"password ({form})"]
    assert canaries.in_(hashlib.sha256(PASSWORD.encode()).hexdigest()) == []
