# SPDX-License-Identifier: Apache-2.0
"""A cluster's authority vouches for its clients and servers, by keys that stay private."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from cluster.certificates import Authority


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_client_is_its_user_and_groups_as_kubernetes_reads_them(tmp_path: Path) -> None:
    pair = Authority(tmp_path).client("a", user="system:node:n", groups=("system:nodes",))

    subject = certificate(pair.certificate).subject
    (user,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    (group,) = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert (user.value, group.value) == ("system:node:n", "system:nodes")


def test_a_server_has_addresses_and_names(tmp_path: Path) -> None:
    pair = Authority(tmp_path).server("a", hosts=["10.0.0.1", "kubernetes"])

    names = certificate(pair.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(address) for address in names.value.get_values_for_type(x509.IPAddress)] == [
        "10.0.0.1"
    ]
    assert names.value.get_values_for_type(x509.DNSName) == ["kubernetes"]


def test_everything_is_kept_and_found_again(tmp_path: Path) -> None:
    first = Authority(tmp_path).client("a", user="u").certificate.read_bytes()

    again = Authority(tmp_path).client("a", user="u").certificate

    assert again.read_bytes() == first
    certificate(again).verify_directly_issued_by(certificate(tmp_path / "ca.crt"))


def test_keys_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    keys = [authority.pair.key, authority.client("a", user="u").key, authority.bare_key("b").key]

    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
