# SPDX-License-Identifier: Apache-2.0
"""`python -m mt5_operator.apikey create`: make an API key, shown once and stored nowhere."""

from __future__ import annotations

import argparse
import hashlib
import json
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from mt5_operator import names
from mt5_operator.apikeys import ACCOUNT, NAMESPACE, ApiKey
from mt5_operator.errors import faults
from mt5_operator.settings import Settings

_ALL = "*"


def new_key(key_id: str, token: str) -> str:
    """Return the key that a client sends; `token` is 256 random bits as base64url."""
    return f"mt5_{key_id}_{token}"


def entry(key: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the Secret holds of `key`: its hash and what it opens.

    Raises:
        ValueError: the arguments do not make a usable key; of its fields, a `ValidationError`.
    """
    _demand_names(arguments)
    checked = ApiKey(
        id=arguments.id,
        sha256=hashlib.sha256(key.encode()).hexdigest(),
        accounts=arguments.accounts,
        scopes=arguments.scopes,
        expires=arguments.expires,
        namespaces=None if arguments.namespaces == [_ALL] else arguments.namespaces,
    )
    if checked.expires is not None and datetime.fromisoformat(checked.expires) <= datetime.now(UTC):
        raise ValueError("expires: is over already")
    return checked.model_dump(exclude={"id"}, exclude_none=True)


def _demand_names(arguments: argparse.Namespace) -> None:
    for account in arguments.accounts:
        if not ACCOUNT.fullmatch(account):
            raise ValueError(f"accounts: {account!r} is no account id")
    for name in arguments.namespaces if arguments.namespaces != [_ALL] else ():
        if not NAMESPACE.fullmatch(name):
            raise ValueError(f"namespaces: {name!r} is no name of a namespace")


def main(argv: Sequence[str] | None = None) -> int:
    """Print a new key and the command that makes it valid."""
    arguments = _parser().parse_args(argv)
    key = new_key(arguments.id, secrets.token_urlsafe(32))
    try:
        patch = {"stringData": {arguments.id: json.dumps(entry(key, arguments))}}
    except ValidationError as error:
        sys.stderr.write("; ".join(faults(error)) + "\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if arguments.json:
        sys.stdout.write(json.dumps({"key": key, "patch": patch}) + "\n")
    else:
        sys.stdout.write(_told(key, patch, arguments.operator_namespace))
    return 0


def _told(key: str, patch: dict[str, Any], namespace: str) -> str:
    stored = f"secret {names.API_KEYS} --type merge -p '{json.dumps(patch)}'"
    return (
        f"{key}\n\n"
        "# The key above is shown once. The first key of an installation needs its Secret:\n"
        f"kubectl create -n {namespace} secret generic {names.API_KEYS}\n"
        "# This makes the key valid, within seconds, in place of one of the same id:\n"
        f"kubectl patch -n {namespace} {stored}\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mt5_operator.apikey")
    create = parser.add_subparsers(required=True).add_parser("create", help="make a key")
    create.add_argument("--id", required=True, help="name of the key, [a-z0-9]{1,32}")
    create.add_argument("--accounts", required=True, type=_list, help="account ids, or *")
    create.add_argument(
        "--scopes", default="read", type=_list, help="of read, trade, resolve, admin"
    )
    create.add_argument("--expires", help="RFC 3339 time, such as 2027-01-01T00:00:00Z")
    bound = "only accounts of these namespaces; * for all: such a key is for administrators"
    create.add_argument("--namespaces", required=True, type=_list, help=bound)
    ours = Settings().namespace
    create.add_argument("--operator-namespace", default=ours, help="where the Secret is")
    create.add_argument("--json", action="store_true", help="print key and patch as JSON")
    return parser


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


if __name__ == "__main__":
    sys.exit(main())
