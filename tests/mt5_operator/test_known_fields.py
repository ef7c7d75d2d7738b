# SPDX-License-Identifier: Apache-2.0
"""A CRD that is older than the operator is found out before anything is told in its terms."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mt5_operator.cluster.kinds import ACCOUNT, BROKER
from mt5_operator.cluster.known_fields import lacking
from mt5_operator.crd import account_crd, broker_crd
from mt5_operator.errors import NotFound, Refused


class Server:
    """Tells schemas, or an error, and counts."""

    def __init__(self, found: Any) -> None:
        self.found = found
        self.asked = 0

    async def schemas(self, _: Any) -> Any:
        self.asked += 1
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def schema(crd: Any) -> Any:
    return copy.deepcopy(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


async def told(found: Any, kind: Any = ACCOUNT) -> list[str]:
    api: Any = Server(found if isinstance(found, Exception) else {kind.name: found})
    return (await lacking(api)).get(kind.name, [])


async def test_a_crd_of_this_version_lacks_nothing_and_one_of_a_later_version_neither() -> None:
    later = schema(account_crd())
    later["properties"]["status"]["properties"]["next"] = {"type": "string"}

    assert await told(schema(account_crd())) == []
    assert await told(later) == []
    assert await told(schema(broker_crd()), BROKER) == []


async def test_the_schemas_of_both_kinds_are_asked_for_once() -> None:
    older = schema(account_crd())
    del older["properties"]["status"]["properties"]["idHeld"]
    api: Any = Server({ACCOUNT.name: older, BROKER.name: schema(broker_crd())})

    assert await lacking(api) == {ACCOUNT.name: ["status.idHeld"]}
    assert api.asked == 1


async def test_an_older_crd_lacks_fields_within_fields_and_words() -> None:
    older = schema(account_crd())
    status = older["properties"]["status"]["properties"]
    del status["idHeld"]
    del status["lastMove"]["properties"]["unplaced"]
    del status["conditions"]["items"]["properties"]["observedGeneration"]
    status["move"]["properties"]["phase"]["enum"].remove("Returning")

    assert set(await told(older)) == {
        "status.idHeld",
        "status.lastMove.unplaced",
        "status.conditions[].observedGeneration",
        "status.move.phase: Returning",
    }


@pytest.mark.parametrize("error", [NotFound(404, "", ""), Refused(403, "", "")])
async def test_a_server_that_tells_no_schema_holds_nobody_up(error: Exception) -> None:
    assert await told(error) == []
