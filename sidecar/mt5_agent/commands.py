# SPDX-License-Identifier: Apache-2.0
"""Commands as settings give them: one line of words, or a JSON list where quoting would be
guesswork."""

import json
import shlex
import sys
from typing import Final

_WINDOWS: Final = sys.platform == "win32"


class BadCommand(ValueError):
    """The text is neither words nor a list of them."""


def words(text: str, *, windows: bool = _WINDOWS) -> list[str]:
    """Return the words of `text`; on Windows a backslash is a character like any other.

    Raises:
        BadCommand: A quote is not closed, or the list holds other things than text.
    """
    if text.lstrip().startswith("["):
        return _listed(text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if windows:
        lexer.escape, lexer.quotes = "", '"'
    try:
        return list(lexer)
    except ValueError as error:
        raise BadCommand(str(error)) from error


def filled(argv: list[str], **values: str) -> list[str]:
    """Return `argv` with `{name}` replaced; a word that names an empty value is left out."""
    kept = [word for word in argv if all(v or f"{{{n}}}" not in word for n, v in values.items())]
    for name, value in values.items():
        kept = [word.replace(f"{{{name}}}", value) for word in kept]
    return kept


def _listed(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadCommand(str(error)) from error
    if not all(isinstance(word, str) for word in found):
        raise BadCommand("a list of text is wanted")
    return [str(word) for word in found]
