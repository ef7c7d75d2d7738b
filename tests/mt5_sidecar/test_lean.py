# SPDX-License-Identifier: Apache-2.0
"""P13: what a sidecar holds that nobody uses; and that a key set is read over TLS all the same."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sidecar_rig import Rig

from mt5_sidecar.api import fetch as fetching
from mt5_sidecar.api.fetch import fetch
from mt5_sidecar.api.schemas.asyncapi import ASYNCAPI
from mt5_sidecar.api.schemas.document import Document
from mt5_sidecar.api.schemas.openapi import OPENAPI

# Tokens, traces, YAML, the check of settings, the simulator, a developer's console: loaded where
# they are used.
ELSEWHERE = {
    *("jwt", "cryptography", "opentelemetry", "yaml", "pydantic", "pydantic_core", "zoneinfo"),
    *("mt5_simulator", "numpy", "pygments"),
}
# What a key set of a test may take: its time, its bytes.
ENOUGH = {"timeout_s": 5.0, "limit_bytes": 4096}
LOOK = """
import json, os, sys
import mt5_sidecar.__main__, mt5_sidecar.app
from aiohttp import connector
print(json.dumps({
    "modules": sorted(sys.modules),
    "certificates": connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509_ca"],
    "environment": os.environ.get("SSL_CERT_FILE"),
}))
"""


def started(**environment: str) -> dict:
    """Return what a new process holds once the sidecar's code is imported."""
    # As in the image, where a developer's packages are not installed.
    hidden = "import sys; sys.modules['rich'] = None\n"
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **environment}
    seen = subprocess.run(
        [sys.executable, "-c", hidden + LOOK], env=given, check=True, capture_output=True
    )
    return json.loads(seen.stdout)


def test_nothing_is_loaded_that_only_some_sidecars_use() -> None:
    modules = {name.partition(".")[0] for name in started()["modules"]}

    assert not modules & ELSEWHERE
    assert not {name for name in modules if name.startswith("_sysconfigdata")}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "issuer.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return pem


def test_no_certificates_are_held_and_the_environment_is_as_it_was(certificate: Path) -> None:
    seen = started(SSL_CERT_FILE=str(certificate))

    assert seen["certificates"] == 0
    assert seen["environment"] == str(certificate)


@pytest.fixture
def fresh() -> Iterator[None]:
    """Certificates are read anew, in the test and after it."""
    fetching._trusted.cache_clear()
    yield
    fetching._trusted.cache_clear()


@pytest.fixture
async def issuer(certificate: Path) -> AsyncIterator[str]:
    """The address of a key set that is served over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def keys(request: web.Request) -> web.Response:
        return web.json_response({"keys": []})

    app = web.Application()
    app.router.add_get("/jwks", keys)
    server = TestServer(app, scheme="https", host="127.0.0.1")
    await server.start_server(ssl=context)
    yield str(server.make_url("/jwks"))
    await server.close()


async def test_a_key_set_is_read_over_tls_from_an_issuer_that_the_machine_trusts(
    issuer: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, fresh: None
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert json.loads(await fetch(issuer, **ENOUGH)) == {"keys": []}


async def test_a_key_set_of_an_issuer_that_nobody_knows_is_not_read(
    issuer: str, fresh: None
) -> None:
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await fetch(issuer, **ENOUGH)


async def test_a_document_is_made_for_the_first_who_asks_and_once_for_all() -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(b"{}")
        return made[-1]

    document = Document(make)
    assert not made

    bodies = await asyncio.gather(*(document.body() for _ in range(5)))

    assert len(made) == 1
    assert all(body is made[0] for body in bodies)


async def test_a_sidecar_that_nobody_asks_makes_no_documents(bridge: Rig) -> None:
    runner = bridge.sidecar._runners[-1]
    documents = [runner.app[OPENAPI], runner.app[ASYNCAPI]]
    await bridge.get("/api/account")
    assert [document._made for document in documents] == [None, None]

    for path in ("/openapi.json", "/asyncapi.json"):
        assert (await bridge.get(path, key=None)).status == 200
    assert None not in [document._made for document in documents]
