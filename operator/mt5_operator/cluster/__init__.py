# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes API: one narrow port, caches of raw objects, and the Lease. Knows no kopf."""
