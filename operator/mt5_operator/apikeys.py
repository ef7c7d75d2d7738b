# SPDX-License-Identifier: Apache-2.0
"""The API key table: read from one Secret, published without what a namespace need not know."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mt5_operator.errors import InvalidKey, faults
from mt5_operator.names import ACCOUNT_ID

ID: Final = re.compile(r"^[a-z0-9]{1,32}$")
ACCOUNT: Final = re.compile(rf"\*|{ACCOUNT_ID}")
# Source: RFC 1123, as Kubernetes takes it for names of namespaces.
NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
Scope = Literal["read", "trade", "resolve", "admin"]


def _moment(value: str) -> str:
    # Published in the one form that every reader understands: ISO 8601 allows many others.
    told = "must be a time with its time zone, such as 2027-01-01T00:00:00Z"
    try:
        moment = datetime.fromisoformat(value)
        normal = moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError) as error:
        raise ValueError(told) from error
    if moment.tzinfo is None:
        raise ValueError(told)
    return normal


def _somewhere(namespaces: list[str]) -> list[str]:
    # One that binds the key to nothing is a mistake that nobody would see otherwise.
    if not any(NAMESPACE.fullmatch(name) for name in namespaces):
        raise ValueError("names no namespace; leave it out for all of them")
    return namespaces


class ApiKey(BaseModel):
    """One key: its hash, and what it opens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=ID.pattern)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    accounts: Annotated[list[str], Field(min_length=1)]
    scopes: Annotated[list[Scope], Field(min_length=1)]
    expires: Annotated[str, AfterValidator(_moment)] | None = None
    namespaces: Annotated[list[str], AfterValidator(_somewhere)] | None = None


def read(data: dict[str, str]) -> tuple[list[ApiKey], dict[str, str]]:
    """Return the usable keys of a Secret's `data`, and why each other entry is not."""
    keys, problems = [], {}
    for name, value in sorted(data.items()):
        try:
            keys.append(_key(name, value))
        except InvalidKey as error:
            problems[name] = str(error)
    return keys, problems


def published(
    keys: Iterable[ApiKey], *, namespace: str, account_ids: Collection[str]
) -> list[dict[str, Any]]:
    """Return the entries of the keys that can open an account of `namespace`."""
    here = [key for key in keys if key.namespaces is None or namespace in key.namespaces]
    return [entry for key in here if (entry := _entry(key, account_ids))]


def _entry(key: ApiKey, account_ids: Collection[str]) -> dict[str, Any] | None:
    everything = "*" in key.accounts
    accounts = ["*"] if everything else [a for a in key.accounts if a in account_ids]
    if not accounts:
        return None
    return key.model_dump(exclude={"namespaces"}) | {"accounts": accounts}


def _key(name: str, value: str) -> ApiKey:
    try:
        found = json.loads(base64.b64decode(value, validate=True))
    except (ValueError, RecursionError) as error:
        raise InvalidKey("is not a JSON object") from error
    if not isinstance(found, dict) or "id" in found:
        raise InvalidKey("must be a JSON object without id: the item's name is the id")
    try:
        return ApiKey.model_validate({"id": name, **found})
    except ValidationError as error:
        # Only places and reasons: the input might hold a key itself.
        # A name with half a surrogate pair could be written nowhere.
        text = "; ".join(faults(error)).encode(errors="replace").decode()
        raise InvalidKey(text) from error
