# SPDX-License-Identifier: Apache-2.0
"""Which accounts belong to which broker, by the names of their servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mt5_operator.brokers.matching import ANY, Broker, Match, match
from mt5_operator.names import Key


@dataclass(frozen=True, slots=True)
class Client:
    """An account, as far as its broker is concerned."""

    server: str
    # It leaves the platform to us.
    auto: bool


class Directory:
    """Brokers and accounts that exist; matches are worked out once and kept."""

    def __init__(self) -> None:
        self._brokers: dict[str, Broker] = {}
        self._clients: dict[Key, Client] = {}
        self._keys: dict[str, set[Key]] = {}
        self._matches: dict[str, Match | None] = {}
        # Names of brokers by server name, and of those with a wildcard.
        self._plain: dict[str, set[str]] = {}
        self._wild: set[str] = set()

    def keep_client(self, key: Key, client: Client) -> bool:
        """Take in an account; tell whether that is news."""
        if self._clients.get(key) == client:
            return False
        self.drop_client(key)
        self._clients[key] = client
        self._keys.setdefault(client.server, set()).add(key)
        return True

    def drop_client(self, key: Key) -> None:
        """Take out an account."""
        client = self._clients.pop(key, None)
        if client is None:
            return
        self._keys[client.server].discard(key)
        if not self._keys[client.server]:
            del self._keys[client.server]
            self._matches.pop(client.server, None)

    def keep_broker(self, broker: Broker) -> set[Key]:
        """Take in a broker; return the accounts whose platform may depend on what is new."""
        before = self._brokers.get(broker.name)
        if before == broker:
            return set()
        if before and (before.patterns, before.created) == (broker.patterns, broker.created):
            return self._renewed(broker)
        self._unlist(before)
        self._list(broker)
        return self._rematched(broker.name)

    def drop_broker(self, name: str) -> set[Key]:
        """Take out a broker; return the accounts that were its."""
        if name not in self._brokers:
            return set()
        self._unlist(self._brokers[name])
        return self._rematched(name)

    def match(self, server: str) -> Match | None:
        """Return the broker of a server."""
        if server not in self._matches:
            self._matches[server] = match(server, self._candidates(server))
        return self._matches[server]

    def broker_of(self, key: Key) -> Broker | None:
        """Return the broker of an account."""
        client = self._clients.get(key)
        found = self.match(client.server) if client else None
        return found.broker if found else None

    def client(self, key: Key) -> Client | None:
        """Return what is known of an account."""
        return self._clients.get(key)

    def clients_of(self, name: str) -> list[Key]:
        """Return the accounts of a broker."""
        return [key for server in self.servers_of(name) for key in self._keys[server]]

    def servers_of(self, name: str) -> Iterator[str]:
        """Return the servers whose accounts belong to a broker."""
        for server in self._keys:
            found = self.match(server)
            if found and found.broker.name == name:
                yield server

    def ties(self, name: str) -> list[tuple[str, Match]]:
        """Return the servers for which this broker and another fit equally well."""
        found = ((server, self.match(server)) for server in sorted(self._keys))
        return [
            (server, got)
            for server, got in found
            if got and got.tied and name in (got.broker.name, *got.tied)
        ]

    def unknown_servers(self) -> list[str]:
        """Return the servers of accounts that leave the platform to us and have no broker."""
        wanted = {client.server for client in self._clients.values() if client.auto}
        return sorted(server for server in wanted if self.match(server) is None)

    def accounts_at(self, server: str) -> list[Key]:
        """Return the accounts at a server that leave the platform to us."""
        return sorted(key for key in self._keys.get(server, ()) if self._clients[key].auto)

    def names(self) -> set[str]:
        """Return the names of all brokers."""
        return set(self._brokers)

    def brokers(self) -> list[Broker]:
        """Return all brokers."""
        return list(self._brokers.values())

    def _candidates(self, server: str) -> Iterator[Broker]:
        names = self._plain.get(server.casefold(), set()) | self._wild
        return (self._brokers[name] for name in names)

    def _list(self, broker: Broker) -> None:
        self._brokers[broker.name] = broker
        for pattern in broker.patterns:
            if ANY in pattern:
                self._wild.add(broker.name)
            else:
                self._plain.setdefault(pattern.casefold(), set()).add(broker.name)

    def _unlist(self, broker: Broker | None) -> None:
        if broker is None:
            return
        del self._brokers[broker.name]
        self._wild.discard(broker.name)
        for pattern in broker.patterns:
            self._plain.get(pattern.casefold(), set()).discard(broker.name)

    def _renewed(self, broker: Broker) -> set[Key]:
        self._brokers[broker.name] = broker
        for server in self._servers_before(broker.name):
            found = self._matches[server]
            self._matches[server] = replace(found, broker=broker) if found else None
        return set(self.clients_of(broker.name))

    def _rematched(self, name: str) -> set[Key]:
        # Accounts of the broker before and after the change.
        before = {key for server in self._servers_before(name) for key in self._keys[server]}
        self._matches.clear()
        return before | set(self.clients_of(name))

    def _servers_before(self, name: str) -> list[str]:
        kept = self._matches.items()
        return [s for s, m in kept if m and m.broker.name == name and s in self._keys]
