# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a test cluster. Every message says what to do about it.

ClusterError
├── CommandFailed      a program that we ran ended with an error
├── NotReady           something did not become true in time
└── Unsupported        this machine cannot do it (not root, no Go, no Docker, ...)
"""

from __future__ import annotations


class ClusterError(Exception):
    """Be the root of all errors of the test cluster."""


class CommandFailed(ClusterError):
    """Tell that a program which we ran ended with an error."""


class NotReady(ClusterError):
    """Tell that something did not become true in time."""


class Unsupported(ClusterError):
    """Tell that this machine cannot do what was asked."""
