# SPDX-License-Identifier: Apache-2.0
"""What can go wrong around the operator, by what it may do about it.

OperatorError
├── ApiError                the API server's answer was a no (status, reason, message)
│   ├── NotFound            404
│   ├── Conflict            409: somebody was faster, or the object is another one by now
│   └── Refused             400, 403, 405, 415, 422: the same request will be refused again
├── ApiUnavailable          no answer, or one that asks to come later: try again
├── RouteStoreUnavailable   Redis did not answer in time
├── SidecarUnreachable      a sidecar did not answer, or not in our words
├── InvalidSpec             an account's spec is not what our models describe
├── InvalidKey              an entry of the API key table cannot be used
└── LeaseLost               another replica may lead by now: stop
"""

from __future__ import annotations

from pydantic import ValidationError


class OperatorError(Exception):
    """Be the root of all errors of the operator."""


class ApiError(OperatorError):
    """The API server's answer was a no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(ApiError):
    """There is no such object."""


class Conflict(ApiError):
    """Somebody was faster, or the object is another one by now."""


class Refused(ApiError):
    """The same request will be refused again."""


class ApiUnavailable(OperatorError):
    """There was no answer, or one that asks to come later; `busy`: it has too many requests."""

    def __init__(self, told: str = "", *, busy: bool = False) -> None:
        super().__init__(told)
        self.busy = busy


class RouteStoreUnavailable(OperatorError):
    """Redis did not answer in time."""


class SidecarUnreachable(OperatorError):
    """A sidecar did not answer, or not in our words."""


class InvalidSpec(OperatorError):
    """An account's spec is not what our models describe."""


class InvalidKey(OperatorError):
    """An entry of the API key table cannot be used."""


class LeaseLost(OperatorError):
    """Another replica may lead by now."""


def faults(error: ValidationError) -> list[str]:
    """Return where and why each value was refused; never the value, which may be a secret."""
    return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
