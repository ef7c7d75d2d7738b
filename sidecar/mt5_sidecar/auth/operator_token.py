# SPDX-License-Identifier: Apache-2.0
"""The operator's short-lived token: EdDSA only, made for this pod only."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import jwt

from mt5_sidecar.errors import Unauthenticated

ISSUER: Final = "mt5-bridge-operator"
# Pinned: a token does not choose how it is checked (`none`, HMAC with a public key).
ALGORITHM: Final = "EdDSA"
# docs/internals.md: `exp` at most 60 s ahead; and clocks of two nodes differ a little. No knobs:
# both ends are ours, and whoever has such a token says which slot trades.
LIFE_S: Final = 60
LEEWAY_S: Final = 5

OperatorKeys = Mapping[str, "jwt.PyJWK"]

_REQUIRED: Final = ["exp", "iss", "aud"]


def parse_operator_keys(content: bytes | None) -> OperatorKeys:
    """Return the Ed25519 public keys by `kid`; none where there is no file.

    Raises:
        jwt.PyJWTError, ValueError: the file is there and not a JWK set.
    """
    if content is None:
        return {}
    import jwt  # 9 MB that a sidecar need not hold before somebody calls with a token

    keys = jwt.PyJWKSet.from_json(content.decode()).keys
    return {key.key_id or "": key for key in keys if key.key_type == "OKP"}


def verify_operator(token: str, keys: OperatorKeys, *, pod_uid: str, now_s: float) -> None:
    """Return if the operator made `token` for this pod and its time is not over.

    Raises:
        Unauthenticated: anything else, without saying which to who is not the operator.
    """
    import jwt

    try:
        claims = _claims(token, keys, pod_uid=pod_uid)
    except (jwt.PyJWTError, ValueError, KeyError) as error:
        raise Unauthenticated("not a token of the operator for this pod") from error
    if not pod_uid or claims["exp"] > now_s + LIFE_S + LEEWAY_S:
        raise Unauthenticated("the token lives longer than the operator's do")


def _claims(token: str, keys: OperatorKeys, *, pod_uid: str) -> dict[str, Any]:
    import jwt

    key = keys[jwt.get_unverified_header(token).get("kid", "")]
    return jwt.decode(
        token,
        key.key,
        algorithms=[ALGORITHM],
        audience=pod_uid,
        issuer=ISSUER,
        leeway=LEEWAY_S,
        options={"require": _REQUIRED},
    )
