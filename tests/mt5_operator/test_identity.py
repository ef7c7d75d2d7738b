# SPDX-License-Identifier: Apache-2.0
"""The operator's key may be made anew; the installation stays the one that it is."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from mt5_operator.cluster.kinds import CONFIG_MAP, SECRET, Kind
from mt5_operator.errors import ApiUnavailable, NotFound
from mt5_operator.names import Key
from mt5_operator.routes.route import shard
from mt5_operator.routes.shards import installation
from mt5_operator.sidecars.identity import Identity, identity


class Cluster:
    """Has one namespace's Secret and ConfigMaps."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, Key], Any] = {}
        self.away = False

    async def get(self, kind: Kind, key: Key) -> Any:
        if self.away and kind is CONFIG_MAP:
            raise ApiUnavailable("503")
        if (kind, key) not in self.objects:
            raise NotFound(404, "NotFound", key.name)
        return self.objects[kind, key]

    async def create(self, kind: Kind, manifest: Any) -> Any:
        meta = manifest["metadata"]
        self.objects[kind, Key(meta["namespace"], meta["name"])] = manifest
        return manifest

    async def who(self) -> Identity:
        api: Any = self
        return await identity(api, "system", installation=partial(installation, api, "system"))


async def test_a_key_that_is_deleted_is_made_anew_for_the_same_installation() -> None:
    cluster = Cluster()
    first = await cluster.who()
    assert (await cluster.who()).jwk == first.jwk
    routes = shard(0, {}, shards=4, installation=first.installation, namespace="system")
    await cluster.create(CONFIG_MAP, routes)
    del cluster.objects[SECRET, Key("system", "mt5-bridge-operator-key")]

    second = await cluster.who()

    assert second.jwk != first.jwk
    assert second.installation == first.installation


async def test_which_installation_it_is_is_not_guessed() -> None:
    cluster = Cluster()
    cluster.away = True

    with pytest.raises(ApiUnavailable):
        await cluster.who()

    assert not cluster.objects


@pytest.mark.parametrize("text", ["", "[]", "{", '{"installation": ""}'])
async def test_a_table_that_names_no_installation_is_none(text: str) -> None:
    cluster = Cluster()
    meta = {"name": "mt5-routes-0", "namespace": "system"}
    await cluster.create(CONFIG_MAP, {"metadata": meta, "data": {"routes.json": text}})

    assert len((await cluster.who()).installation) == 36
