# SPDX-License-Identifier: Apache-2.0
"""The operator: gives every `MT5Account` a pod, a route and an honest status."""
