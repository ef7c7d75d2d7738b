# SPDX-License-Identifier: Apache-2.0
"""Who may be our agent: a pure judgement on its first message."""

import hmac

from mt5_agent import protocol
from mt5_sidecar.domain.secret import Secret


class Unwelcome(Exception):
    """The connection is not an agent of this pod, or not one that we can speak with."""


def agreed_version(hello: protocol.FromAgent, token: Secret) -> int:
    """Return the protocol version to speak with who said `hello`.

    Raises:
        Unwelcome: not a hello, the wrong token, or no version in common.
    """
    if not isinstance(hello, protocol.Hello):
        raise Unwelcome("the first message must be hello")
    if not hmac.compare_digest(hello.token.encode(), token.reveal().encode()):
        raise Unwelcome("wrong token")
    version = min(hello.version, protocol.VERSION)
    if version < max(hello.oldest_version, protocol.OLDEST_VERSION):
        raise Unwelcome(
            f"no common version: the agent speaks {hello.oldest_version} to {hello.version}, "
            f"the sidecar {protocol.OLDEST_VERSION} to {protocol.VERSION}"
        )
    return version
