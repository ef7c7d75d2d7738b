# SPDX-License-Identifier: Apache-2.0
"""Bring the cluster to what accounts ask for: level-based, idempotent, safe at any moment.

A leader (`leading`) has the `worker` bring about one account after the other (`accounts`), on a
platform that its broker allows (`brokers`), by objects and calls (`pods`). The watches feed
(`feed`) what all share (`context`). Imports point down: pyproject.toml has the order, and
import-linter holds it.
"""
