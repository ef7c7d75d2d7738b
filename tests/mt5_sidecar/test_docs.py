# SPDX-License-Identifier: Apache-2.0
"""The documents say what the code does, or a test fails."""

import json
import re
from pathlib import Path

import pytest

from mt5_sidecar.api.operations import OPERATIONS
from mt5_sidecar.api.requests.problems import STATUS, slug
from mt5_sidecar.api.schemas.openapi import described
from mt5_sidecar.orders.errors import BadTrade, JournalError, OrderError
from mt5_sidecar.settings import LIVE
from mt5_sidecar.settings_model import Settings
from mt5_sidecar.streams.codes import Close

DOCS = Path(__file__).parents[2] / "docs"
API = (DOCS / "api.md").read_text()
SETTINGS = (DOCS / "settings-sidecar.md").read_text()


def _leaves(kind: type[OrderError]) -> list[type[OrderError]]:
    below = kind.__subclasses__()
    told = [kind] if not below or kind in (BadTrade, JournalError) else []
    return [*told, *(leaf for sub in below for leaf in _leaves(sub))]


def test_every_setting_is_documented_with_its_default_and_no_other_is() -> None:
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| `?([^`|]*?)`? \|", SETTINGS, re.MULTILINE)
    documented = {name.lower(): default for name, default in rows if not name.endswith("_")}

    assert set(documented) == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        if field.is_required():
            assert documented[name] == "required"
        elif field.default not in ("", None, ()):
            default = field.default
            told = f"{default:g}" if isinstance(default, float) else str(default)
            assert documented[name] == told, name


def test_every_setting_that_may_change_while_the_sidecar_runs_is_marked() -> None:
    marked = re.findall(r"^\| `([A-Z0-9_]+)` \|[^|]*\| \*\*live\*\*:", SETTINGS, re.MULTILINE)

    assert {name.lower() for name in marked} == LIVE


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.method} {o.path}")
def test_every_operation_and_alias_is_documented(operation) -> None:
    verb = "WS" if operation.websocket else operation.method
    (row,) = (
        line for line in API.splitlines() if line.startswith(f"| {verb} `{operation.path}` |")
    )

    for alias in operation.aliases:
        assert f"`{alias}`" in row
    scope = operation.scope.value if operation.scope else "none"
    assert f"| {scope} |" in row


def test_every_problem_is_documented_with_its_status() -> None:
    rows = dict(re.findall(r"^\| `/problems/([a-z-]+)` \| (\d+) \|", API, re.MULTILINE))

    ours = {slug(kind): str(status.value) for kind, status in STATUS.items()}
    orders = {kind.slug: str(kind.status) for kind in _leaves(OrderError)}
    assert rows == ours | orders


def test_every_close_code_is_documented() -> None:
    documented = re.findall(r"^\| (\d{4}) \|", API, re.MULTILINE)

    assert sorted(map(int, documented)) == sorted(Close)


def test_the_openapi_document_has_every_operation_and_its_references_resolve() -> None:
    document = json.loads(described(OPERATIONS))

    seen = {(m.upper(), path) for path, methods in document["paths"].items() for m in methods}
    assert seen == {(o.method, o.path) for o in OPERATIONS}
    schemas = document["components"]["schemas"]
    for reference in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)):
        assert reference in schemas
    price = json.dumps(schemas["PositionView"]["properties"]["price_open"])
    assert '"number"' in price
    assert '"string"' not in price


def test_a_fault_amid_a_trade_is_not_told_as_nothing_sent() -> None:
    paths = json.loads(described(OPERATIONS))["paths"]

    for operation in OPERATIONS:
        told = paths[operation.path][operation.method.lower()]["responses"]["default"]
        assert ("may have been sent" in told["description"]) == operation.keyed, operation.path
