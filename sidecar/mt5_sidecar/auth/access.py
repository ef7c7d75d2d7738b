# SPDX-License-Identifier: Apache-2.0
"""The two files of the `access` volume, held together and read again when they change."""

import hashlib
from datetime import UTC, datetime
from typing import Final

import msgspec

from mt5_sidecar.auth.keys import Keys, authenticate, parse_keys, still_valid
from mt5_sidecar.auth.operator_token import OperatorKeys, parse_operator_keys, verify_operator
from mt5_sidecar.auth.principal import Principal, Scope
from mt5_sidecar.errors import Forbidden, Unauthenticated
from mt5_sidecar.files import WatchedFile
from mt5_sidecar.logs import logger
from mt5_sidecar.settings import Settings

BEARER: Final = "Bearer "


class Access:
    """Who may do what on this account, as of the last look at the files."""

    def __init__(self, settings: Settings) -> None:
        self._account_id = settings.account_id
        self._pod_uid = settings.pod_uid
        self._keys: WatchedFile[Keys | None] = WatchedFile(settings.keys_file, parse_keys)
        self._operator: WatchedFile[OperatorKeys] = WatchedFile(
            settings.operator_jwks_file, parse_operator_keys
        )

    def refresh(self) -> bool:
        """Look at both files; say whether one changed. A broken file lets nobody new in."""
        return any([_refreshed(self._keys), _refreshed(self._operator)])

    @property
    def version(self) -> str:
        """A token of both files' versions, for the operator."""
        both = f"{self._keys.version}:{self._operator.version}"
        return hashlib.sha256(both.encode()).hexdigest()[:16] if both != ":" else ""

    def identify(self, api_key: str) -> Principal:
        """Return who calls.

        Raises:
            Unauthenticated, AccessUnavailable: as `authenticate`.
        """
        if not api_key:
            raise Unauthenticated("send an API key: X-API-Key or Authorization: Bearer")
        return authenticate(api_key, self._keys.value, now=datetime.now(UTC))

    def renew(self, principal: Principal, scope: Scope) -> Principal:
        """Return what an open connection's caller may do now.

        Raises:
            Unauthenticated: their key has ended.
            Forbidden: it no longer covers `scope` here.
        """
        now = datetime.now(UTC)
        renewed = still_valid(principal, self._keys.value, now=now)
        self.demand(renewed, scope)
        return renewed

    def demand(self, principal: Principal, scope: Scope) -> None:
        """Return if the grant covers `scope` here, raise `Forbidden` if not."""
        if not principal.may(scope, account_id=self._account_id):
            raise Forbidden(f"the key has no grant of '{scope.value}' on this account")

    def admit_operator(self, token: str) -> None:
        """Return if the operator made this token for this pod.

        Raises:
            Unauthenticated: as `verify_operator`.
        """
        now_s = datetime.now(UTC).timestamp()
        verify_operator(token, self._operator.value, pod_uid=self._pod_uid, now_s=now_s)


def _refreshed(file: WatchedFile[Keys | None] | WatchedFile[OperatorKeys]) -> bool:
    try:
        return file.refresh()
    except (msgspec.MsgspecError, ValueError) as error:
        logger.error("access_file_unreadable", error=type(error).__name__)
        return True
