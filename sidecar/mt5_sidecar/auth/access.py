# SPDX-License-Identifier: Apache-2.0
"""The two files of the `access` volume, held together and read again when they change."""

import contextlib
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from mt5_sidecar.auth.keys import Keys, authenticate, parse_keys, still_valid
from mt5_sidecar.auth.operator_token import OperatorKeys, parse_operator_keys, verify_operator
from mt5_sidecar.auth.principal import Principal, Scope
from mt5_sidecar.auth.signing_keys import Fetch, SigningKeys
from mt5_sidecar.auth.tokens import PREFIX, SignerUnknown, Tokens, is_token
from mt5_sidecar.errors import AccessUnavailable, Forbidden, Unauthenticated
from mt5_sidecar.files import WatchedFile
from mt5_sidecar.logs import logger
from mt5_sidecar.settings import Settings

BEARER: Final = "Bearer "
# Callers of one second; more of them are checked each time.
MOST_RECENT: Final = 4096


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Access:
    """Who may do what on this account, as of the last look at the files."""

    def __init__(
        self, settings: Settings, fetch: Fetch, *, clock: Callable[[], datetime] = _utc_now
    ) -> None:
        self.clock = clock
        self._account_id = settings.account_id
        self._pod_uid = settings.pod_uid
        self.unreadable = 0
        self._keys: WatchedFile[Keys | None] = WatchedFile(
            settings.keys_file, partial(parse_keys, unreadable=self._tell_unreadable)
        )
        self._operator: WatchedFile[OperatorKeys] = WatchedFile(
            settings.operator_jwks_file, parse_operator_keys
        )
        self._signers = SigningKeys(settings, fetch, on_fetched=self._forget)
        self._tokens = Tokens(settings, self._signers)
        # By what they presented, until the next look: a proof is checked once a second, not 200
        # times, and what ends it (a withdrawn key, another signer) ends it with that look.
        self._recent: dict[str, Principal] = {}

    def refresh(self) -> bool:
        """Look at the files; say whether one changed. One that cannot be read opens nothing."""
        self._forget()
        # Each is looked at, not only up to the first that changed.
        changed = [self._refreshed(self._keys), self._refreshed(self._operator)]
        if self._signers.file is not None:
            changed.append(self._refreshed(self._signers.file))
        self._signers.keep_fresh()
        return any(changed)

    async def stop(self) -> None:
        """Ask the issuer for nothing more."""
        await self._signers.stop()

    @property
    def issuer_unread(self) -> bool:
        """Say whether the issuer gave no set of keys when it was asked last."""
        return self._signers.unread

    def _forget(self) -> None:
        self._recent.clear()

    def _refreshed(self, file: WatchedFile[Any]) -> bool:
        try:
            return file.refresh()
        except Exception:  # noqa: BLE001  of any parser
            # What it said before may have been withdrawn in it: better nobody than anybody.
            file.forget()
            self._tell_unreadable()
            return True

    def _tell_unreadable(self) -> None:
        self.unreadable += 1
        logger.error("access_unreadable", total=self.unreadable)

    @property
    def version(self) -> str:
        """A token of both files' versions, for the operator."""
        both = f"{self._keys.version}:{self._operator.version}"
        return hashlib.sha256(both.encode()).hexdigest()[:16] if both != ":" else ""

    def recent(self, presented: str) -> Principal | None:
        """Return who `presented` proved to be since the last look, None where it must be asked."""
        principal = self._recent.get(presented)
        if principal is None or principal.expires is None or not principal.ended(self.clock()):
            return principal
        return None

    async def identified(self, presented: str) -> Principal:
        """Return who calls: by API key, or by a token of the issuer.

        Raises:
            Unauthenticated, AccessUnavailable: as `authenticate`; the latter also where tokens
                cannot be checked.
        """
        if not presented:
            raise Unauthenticated("send an API key: X-API-Key or Authorization: Bearer")
        if self._signers.enabled and is_token(presented):
            principal = await self._by_token(presented)
        else:
            principal = authenticate(presented, self._keys.value, now=self.clock())
        if len(self._recent) < MOST_RECENT:
            self._recent[presented] = principal
        return principal

    async def _by_token(self, token: str) -> Principal:
        await self._signers.current()
        with contextlib.suppress(SignerUnknown):
            return self._tokens.principal(token)
        try:
            if await self._signers.again():
                return self._tokens.principal(token)
        except SignerUnknown:
            pass
        if not self._signers.keys:
            # The token may be as good as any: who is told 401 would throw it away.
            raise AccessUnavailable("no key to check tokens with has been read yet")
        raise Unauthenticated("the token's signing key is not known")

    def renew(self, principal: Principal, scope: Scope) -> Principal:
        """Return what an open connection's caller may do now.

        Raises:
            Unauthenticated: their key or token has ended.
            Forbidden: it no longer covers `scope` here.
        """
        now = self.clock()
        if principal.subject.startswith(PREFIX):
            renewed = self._tokens.still_valid(principal, now=now)
        else:
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
        now_s = self.clock().timestamp()
        verify_operator(token, self._operator.value, pod_uid=self._pod_uid, now_s=now_s)
