# SPDX-License-Identifier: Apache-2.0
"""Why JSON was not what was asked for, with the words that would have been."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import inspect

# What msgspec says: "Invalid enum value 'by' - at `$.side`", "Invalid value 'x' - at `$.type`",
# "Object contains unknown field `foo` - at `$.data`". The place ends it, whatever a client wrote.
_AT: Final = " - at `$"
_STEP: Final = re.compile(r"\w+|\[[^\]]*\]")
_WORD: Final = re.compile(r"Invalid (?:enum )?value ")
_FIELD: Final = re.compile(r"Object contains unknown field `")
_ITEM: Final = "["
# Of what a client wrote, so much comes back to it.
MOST_CHARACTERS: Final = 200


def why_not(error: Exception, kind: Any) -> str:
    """Return why decoding into `kind` failed: what is wrong, where, and which words are known."""
    told, at, place = str(error).rpartition(_AT)
    if not at:
        told, place = place, ""
    # A field's name is the client's as well, and may look like a place.
    told, place = told[:MOST_CHARACTERS], place[:MOST_CHARACTERS]
    known = _known(told, kind, _STEP.findall(place))
    return f"{told}{at}{place}" + (f": use one of {', '.join(known)}" if known else "")


def _known(told: str, kind: Any, path: Sequence[str]) -> list[str]:
    if _WORD.match(told):
        find = _words
    elif _FIELD.match(told):
        find = _fields
    else:
        return []
    return list(dict.fromkeys(find(inspect.type_info(kind), path)))


def _words(kind: Any, path: Sequence[str]) -> Iterator[str]:
    """Yield what may stand at `path`."""
    for part in _parts(kind, path):
        if isinstance(part, inspect.LiteralType):
            yield from map(str, part.values)


def _fields(kind: Any, path: Sequence[str]) -> Iterator[str]:
    """Yield the names of fields that the object at `path` may have."""
    for part in _parts(kind, path):
        if isinstance(part, inspect.StructType):
            yield from (field.encode_name for field in part.fields)


def _parts(kind: Any, path: Sequence[str]) -> Iterator[Any]:
    """Yield every type that stands at `path`; a union stands for each of its members."""
    if isinstance(kind, inspect.UnionType):
        for member in kind.types:
            yield from _parts(member, path)
    elif not path:
        yield kind
    elif isinstance(kind, inspect.ListType) and path[0].startswith(_ITEM):
        yield from _parts(kind.item_type, path[1:])
    elif isinstance(kind, inspect.StructType):
        yield from _inside(kind, path)


def _inside(kind: inspect.StructType, path: Sequence[str]) -> Iterator[Any]:
    if path[0] == kind.tag_field:
        yield inspect.LiteralType((kind.tag,))
    for field in kind.fields:
        if field.encode_name == path[0]:
            yield from _parts(field.type, path[1:])
