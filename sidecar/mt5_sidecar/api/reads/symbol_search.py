# SPDX-License-Identifier: Apache-2.0
"""Find symbols by a part of their name or description, or by the package's group patterns."""

from typing import Final

from aiohttp import web

from mt5_sidecar.api.answers import JSON, SymbolBrief, SymbolsAnswer
from mt5_sidecar.api.context import CONTEXT
from mt5_sidecar.api.requests.parameters import whole
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.errors import InvalidRequest

PAGE: Final = 100
LARGEST_PAGE: Final = 1000
LONGEST_WORDS: Final = 64


async def symbols(request: web.Request) -> web.Response:
    """Answer with a page of the symbols that `?q=` and `?group=` name."""
    limit = whole(request, "limit", default=PAGE, most=LARGEST_PAGE)
    words, group = (_words(request, name) for name in ("q", "group"))
    found = await request.app[CONTEXT].catalogue.symbols(group)
    found = [s for s in found if _matches(s, words.casefold())]
    after = request.query.get("cursor", "")
    rest = [s for s in found if s.name > after]
    cursor = rest[limit - 1].name if len(rest) > limit else None
    answer = SymbolsAnswer(rest[:limit], len(found), cursor)
    return web.Response(body=encode(answer), content_type=JSON)


def _matches(symbol: SymbolBrief, words: str) -> bool:
    return words in symbol.name.casefold() or words in symbol.description.casefold()


def _words(request: web.Request, name: str) -> str:
    text = request.query.get(name, "")
    if len(text) > LONGEST_WORDS or not text.isprintable():
        raise InvalidRequest(f"{name} has at most {LONGEST_WORDS} characters")
    return text
