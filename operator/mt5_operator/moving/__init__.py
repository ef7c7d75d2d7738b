# SPDX-License-Identifier: Apache-2.0
"""Two slots: which one trades, and how an account goes from one to the other. Pure.

At most one pod of an account may trade. Who that is, is written into the account's status
(`trader`) before the pod is told, and changes only when the pod before it said that it is fenced,
or is gone for certain. Everything else follows from that and from what is seen; docs/updates.md
draws it. Knows no cluster, no clock and no sidecar: only what was seen of them.
"""
