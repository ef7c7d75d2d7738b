# SPDX-License-Identifier: Apache-2.0
"""Bring the cluster to what accounts ask for: level-based, idempotent, safe at any moment."""
