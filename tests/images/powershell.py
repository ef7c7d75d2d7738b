# SPDX-License-Identifier: Apache-2.0
"""What can be said of a PowerShell script without a PowerShell: from its grammar's tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import tree_sitter
import tree_sitter_powershell

_PARSER: Final = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
AUTOMATIC: Final = frozenset(
    {"$_", "$true", "$false", "$null", "$pid", "$lastexitcode", "$erroractionpreference"}
)
"""Variables that PowerShell itself sets, in lower case."""
_NAMES: Final = (
    "Add-Type ConvertFrom-Json ConvertTo-Json Copy-Item ForEach-Object Get-ChildItem Get-Content "
    "Get-ItemProperty Get-Process Join-Path New-Item Out-Null Remove-Item "
    "Select-Object Set-StrictMode Sort-Object Start-Process Start-Sleep Test-Path Where-Object "
    "Write-Output"
)
CMDLETS: Final = frozenset(_NAMES.split())
"""Those of Windows PowerShell 5.1 that our scripts use, by their full names and no alias."""


def faults(source: str) -> list[str]:
    """Return what is wrong with a script: its grammar, its commands, its variables."""
    root = _PARSER.parse(source.encode()).root_node
    return [*_syntax(root), *_commands(root), *_variables(root), *_laden(root)]


def _syntax(root: tree_sitter.Node) -> Iterator[str]:
    for node in _walk(root):
        if node.type == "ERROR" or node.is_missing:
            yield f"line {node.start_point.row + 1}: not PowerShell: {_text(node)[:60]!r}"


def _commands(root: tree_sitter.Node) -> Iterator[str]:
    own = {_text(node) for node in _walk(root) if node.type == "function_name"}
    for node in _walk(root):
        name = _text(node)
        if node.type == "command_name" and not name.endswith(".exe") and name not in CMDLETS | own:
            yield f"line {node.start_point.row + 1}: no such command: {name}"


def _variables(root: tree_sitter.Node) -> Iterator[str]:
    # With Set-StrictMode, a variable that nothing has set ends the script.
    names = [node for node in _walk(root) if node.type == "variable"]
    given = {_text(node).lower() for node in names if _is_set(node)} | AUTOMATIC
    for node in names:
        name = _text(node).lower()
        if not name.startswith("$env:") and name not in given:
            yield f"line {node.start_point.row + 1}: never set: {_text(node)}"


def _laden(root: tree_sitter.Node) -> Iterator[str]:
    # A line of Get-Content has its file and drive with it, and ConvertTo-Json writes them all.
    json = any(_text(node) == "ConvertTo-Json" for node in _walk(root))
    for node in _walk(root):
        if json and node.type == "command" and _text(node).startswith("Get-Content "):
            line = _line(root, node)
            if not line.rstrip(")").endswith('| ForEach-Object { "$_" }'):
                yield f"line {node.start_point.row + 1}: more than its text goes into JSON"


def _line(root: tree_sitter.Node, node: tree_sitter.Node) -> str:
    return _text(root).splitlines()[node.start_point.row - root.start_point.row].strip()


def _is_set(node: tree_sitter.Node) -> bool:
    above = node.parent
    while above is not None:
        if above.type == "script_parameter":
            return True
        if above.type == "assignment_expression":
            left = above.children[0]
            return (
                left.end_byte >= node.end_byte and re.fullmatch(r"\$\w+", _text(left)) is not None
            )
        above = above.parent
    return False


def _walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()
