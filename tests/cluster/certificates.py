# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one cluster, and what it signs. Keys never leave their directory."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=365)
_CLOCK_SKEW = timedelta(hours=1)
# Source: RFC 5280 4.2.1.3: an authority must say so; strict verifiers ask for it.
_SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    @property
    def exists(self) -> bool:
        """Tell whether both files are there."""
        return self.certificate.exists() and self.key.exists()


class Authority:
    """Signs for one cluster; its files are kept in `directory` and used again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.pair = self._pair("ca")
        if not self.pair.exists:
            key = ec.generate_private_key(ec.SECP256R1())
            self._write(self.pair, key, _self_signed(key))

    def client(self, name: str, *, user: str, groups: Sequence[str] = ()) -> Pair:
        """Return a pair by which a client proves to be `user`, member of `groups`."""
        return self._signed(name, _subject(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, name: str, *, hosts: Iterable[str]) -> Pair:
        """Return a pair by which a server proves to be any of `hosts`, names or addresses."""
        return self._signed(name, _subject(name, ()), ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def bare_key(self, name: str) -> Pair:
        """Return a key whose public half is signed by nobody; signs service account tokens."""
        pair = Pair(self._directory / f"{name}.pub", self._directory / f"{name}.key")
        if not pair.exists:
            key = ec.generate_private_key(ec.SECP256R1())
            _write_private(pair.key, key)
            pair.certificate.write_bytes(
                key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            )
        return pair

    def _pair(self, name: str) -> Pair:
        return Pair(self._directory / f"{name}.crt", self._directory / f"{name}.key")

    def _signed(
        self, name: str, subject: x509.Name, usage: x509.ObjectIdentifier, hosts: Iterable[str]
    ) -> Pair:
        pair = self._pair(name)
        if pair.exists:
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())
        builder = (
            _builder(subject, issuer.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            # Python 3.13 refuses a certificate that does not name its authority's key.
            # Source: docs.python.org, ssl.VERIFY_X509_STRICT.
            .add_extension(_authority_key(issuer), critical=False)
        )
        if names := [_general_name(host) for host in hosts]:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        self._write(pair, key, builder.sign(self._key(), hashes.SHA256()))
        return pair

    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.pair.key.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    @staticmethod
    def _write(pair: Pair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        _write_private(pair.key, key)
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _subject("test-cluster", ())
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(key, hashes.SHA256())
    )


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _subject(user: str, groups: Sequence[str]) -> x509.Name:
    # Kubernetes reads the user from the common name and the groups from the organisations.
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        + [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
