# SPDX-License-Identifier: Apache-2.0
"""The second half of decoding: a message's raw payload to records, when and where they are
needed."""

from typing import Any, Final

import msgspec

from mt5_agent.protocol.frames import ProtocolError
from mt5_agent.protocol.messages import Answer, Snapshot, SnapshotKind
from mt5_agent.protocol.records import RESULT_TYPES, AccountInfo, Order, Position, Tick

_RESULTS: Final[dict[str, msgspec.msgpack.Decoder[Any]]] = {
    call: msgspec.msgpack.Decoder(kind) for call, kind in RESULT_TYPES.items()
}
_SNAPSHOTS: Final[dict[SnapshotKind, msgspec.msgpack.Decoder[Any]]] = {
    "account": msgspec.msgpack.Decoder(AccountInfo),
    "positions": msgspec.msgpack.Decoder(list[Position]),
    "orders": msgspec.msgpack.Decoder(list[Order]),
    "ticks": msgspec.msgpack.Decoder(dict[str, Tick]),
}


def decode_result(call: str, answer: Answer) -> Any:
    """Return what `call` returned, as `RESULT_TYPES[call]` says.

    Raises:
        ProtocolError: The result is not of that type.
    """
    return _decoded(_RESULTS[call], answer.result)


def decode_snapshot(
    snapshot: Snapshot,
) -> AccountInfo | list[Position] | list[Order] | dict[str, Tick]:
    """Return the records of `snapshot`.

    Raises:
        ProtocolError: They are not of the kind that it names.
    """
    return _decoded(_SNAPSHOTS[snapshot.kind], snapshot.data)  # type: ignore[no-any-return]


def _decoded(decoder: msgspec.msgpack.Decoder[Any], raw: msgspec.Raw) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(str(error)) from error
