# SPDX-License-Identifier: Apache-2.0
"""JWTs of the installation's own issuer: from claims to the same grants that API keys have."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mt5_sidecar.auth.principal import Principal
from mt5_sidecar.auth.signing_keys import SigningKeys
from mt5_sidecar.errors import Unauthenticated
from mt5_sidecar.settings import Settings

LONGEST_SUBJECT: Final = 64
# Of what stands for the rest of a longer one: enough that nobody finds another's.
DIGEST_LENGTH: Final = 32
PREFIX: Final = "jwt:"

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED: Final = ["exp", "iss", "aud", "sub"]
# By PyJWT's errors, which is loaded late. It looks at claims after the signature: who is told this
# has a token that our issuer signed, and everybody else is told nothing.
_WRONG: Final[Mapping[str, str]] = {
    "ExpiredSignatureError": "the token has expired",
    "ImmatureSignatureError": "the token is not valid yet: iat or nbf is ahead of our clock",
    "InvalidAudienceError": "the token is for another audience (aud)",
    "InvalidIssuerError": "the token is another issuer's (iss)",
    "MissingRequiredClaimError": f"the token lacks a claim: {', '.join(_REQUIRED)} are needed",
}
_NOT_OURS: Final = "the token is not one of our issuer's for this API"


class SignerUnknown(Exception):
    """The token names a key that we do not have, perhaps not yet."""


def is_token(presented: str) -> bool:
    """Say whether this has the form of a JWT."""
    return _TOKEN.fullmatch(presented) is not None


class Tokens:
    """Checks tokens against `signers`."""

    def __init__(self, settings: Settings, signers: SigningKeys) -> None:
        self._settings = settings
        self.signers = signers

    def principal(self, token: str) -> Principal:
        """Return who the issuer says calls.

        Raises:
            SignerUnknown: Signed by another key than we know.
            Unauthenticated: Anything else that is wrong; only who has a token that our issuer
                signed is told what.
        """
        import jwt

        try:
            signer = self.signers.keys[self._kid(jwt.get_unverified_header(token))]
            return self._granted(self._claims(token, signer.key), signer.proof)
        except KeyError as error:
            raise SignerUnknown from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise Unauthenticated(_WRONG.get(type(error).__name__, _NOT_OURS)) from error

    def still_valid(self, principal: Principal, *, now: datetime) -> Principal:
        """Return `principal` if its token would still be taken.

        Raises:
            Unauthenticated: Its time is over, or its signer was withdrawn.
        """
        if principal.ended(now):
            raise Unauthenticated("the token has expired")
        if all(signer.proof != principal.proof for signer in self.signers.keys.values()):
            raise Unauthenticated("the token's signing key was withdrawn")
        return principal

    def _kid(self, header: Mapping[str, Any]) -> str:
        if self.signers.secret:
            return next(iter(self.signers.keys), "")
        return str(header.get("kid", ""))

    def _claims(self, token: str, key: Any) -> dict[str, Any]:
        import jwt

        return jwt.decode(
            token,
            key,
            algorithms=list(self.signers.algorithms),
            audience=self._settings.jwt_audience,
            issuer=self._settings.jwt_issuer,
            leeway=self._settings.jwt_leeway_s,
            options={"require": _REQUIRED},
        )

    def _granted(self, claims: dict[str, Any], proof: str) -> Principal:
        leeway = timedelta(seconds=self._settings.jwt_leeway_s)
        ends = datetime.fromtimestamp(claims["exp"], UTC) + leeway
        return Principal(
            f"{PREFIX}{_short(str(claims['sub']))}",
            frozenset(_words(claims, self._settings.jwt_accounts_claim)),
            frozenset(_words(claims, self._settings.jwt_scopes_claim)),
            ends,
            proof,
        )


def _short(subject: str) -> str:
    """Return `subject` as logs and limits may hold it: short, UTF-8, and one caller's alone."""
    # JSON may hold what is not UTF-8.
    told = subject.encode(errors="replace").decode()[:LONGEST_SUBJECT]
    if told == subject:
        return subject
    digest = hashlib.sha256(subject.encode(errors="surrogatepass")).hexdigest()[:DIGEST_LENGTH]
    return f"{told[: LONGEST_SUBJECT - DIGEST_LENGTH - 1]}~{digest}"


def _words(claims: dict[str, Any], path: str) -> list[str]:
    """Return a claim's words; `a.b` is `b` within `a`. A list, or text with spaces or commas."""
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, str):
        return re.split(r"[ ,]+", found.strip())
    words = found if isinstance(found, list) else []
    return [str(word) for word in words if isinstance(word, str | int)]
