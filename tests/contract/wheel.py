# SPDX-License-Identifier: Apache-2.0
"""Reads the real wheel without Windows: constants from its Python source, functions and structs
from its PE file.

`python -m contract.wheel` (with `tests` on the path) writes the inventory anew from the pinned
wheel.
"""

import ast
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

VERSION = "5.0.6231"
INVENTORY = Path(__file__).with_name("inventory.json")
_CALLS = {1: "positional", 3: "keywords", 4: "no arguments"}  # METH_VARARGS, |METH_KEYWORDS, NOARGS
_METHOD_BYTES = 32  # PyMethodDef on 64 bits: name, function, flags (padded), doc
_DESC_BYTES = 32  # PyStructSequence_Desc: name, doc, fields, n (padded)
_FIELD_BYTES = 16  # PyStructSequence_Field: name, doc
_FEWEST_METHODS = 10


def download(version: str = VERSION) -> Path:
    """Return the wheel of `version`, downloaded once into the project's cache; "" is the newest."""
    cache = os.environ.get("MT5_BRIDGE_CACHE") or Path.home() / ".cache" / "mt5-bridge"
    folder = Path(cache) / "wheels"
    if not version:
        folder /= "newest"
        shutil.rmtree(folder, ignore_errors=True)
    pattern = f"metatrader5-{version or '*'}-cp311-*.whl"
    if not list(folder.glob(pattern)):
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--platform", "win_amd64"),
                *("--python-version", "311", "--only-binary=:all:", "--dest", str(folder)),
                f"MetaTrader5=={version}" if version else "MetaTrader5",
            ],
            check=True,
        )
    return next(folder.glob(pattern))


def inventory(wheel: Path) -> dict[str, Any]:
    """Return what the package offers."""
    with zipfile.ZipFile(wheel) as archive:
        source = archive.read("MetaTrader5/__init__.py").decode()
        library = next(name for name in archive.namelist() if name.endswith(".pyd"))
        image = Image(archive.read(library))
    return {
        "constants": constants(source),
        "python_functions": signatures(source),
        "functions": dict(sorted(image.methods().items())),
        "structs": dict(sorted(image.structs().items())),
    }


def constants(source: str) -> dict[str, int]:
    """Return the upper-case assignments of `source`, in its order."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.isupper():
                found[name] = _number(node.value)
    return found


def signatures(source: str) -> dict[str, str]:
    """Return the package's functions that are written in Python."""
    return {
        node.name: ast.unparse(node.args)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def _number(node: ast.expr) -> int:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _number(node.left) | _number(node.right)
    value = ast.literal_eval(node)
    assert isinstance(value, int)
    return value


class Image:
    """A 64-bit PE file, as far as reading tables of pointers needs it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        (header,) = struct.unpack_from("<I", data, 0x3C)
        assert data[header : header + 4] == b"PE\0\0"
        (count,) = struct.unpack_from("<H", data, header + 6)
        (optional,) = struct.unpack_from("<H", data, header + 20)
        (self._base,) = struct.unpack_from("<Q", data, header + 24 + 24)
        table = header + 24 + optional
        self._sections = [
            (data[at : at + 8].rstrip(b"\0").decode(), *struct.unpack_from("<4I", data, at + 8))
            for at in range(table, table + 40 * count, 40)
        ]

    def methods(self) -> dict[str, str]:
        """Return the module's functions and how they take arguments: the longest PyMethodDef
        table."""
        runs = [self._methods_from(at) for at in self._words()]
        return max(runs, key=len)

    def structs(self) -> dict[str, list[str]]:
        """Return every PyStructSequence_Desc: name and ordered fields."""
        found = {}
        for at in self._words():
            name, _, fields, count = struct.unpack_from("<QQQi", self._data, at)
            text = self._text(name)
            if text is None or not 0 < count < 200 or (start := self._offset(fields)) is None:
                continue
            names = [
                self._text(struct.unpack_from("<Q", self._data, start + i * _FIELD_BYTES)[0])
                for i in range(count)
            ]
            if all(names) and self._ends(start + count * _FIELD_BYTES):
                found[text.rpartition(".")[2]] = [str(field) for field in names]
        return found

    def _ends(self, at: int) -> bool:
        return self._data[at : at + 8] == bytes(8)

    def _words(self) -> range:
        for name, _, _, size, start in self._sections:
            if name == ".data":
                return range(start, start + size - _DESC_BYTES, 8)
        raise AssertionError("no .data section")

    def _methods_from(self, at: int) -> dict[str, str]:
        found: dict[str, str] = {}
        while at + _METHOD_BYTES <= len(self._data):
            name, function, flags, _ = struct.unpack_from("<QQQQ", self._data, at)
            text = self._text(name)
            if text is None or flags not in _CALLS or self._offset(function) is None:
                break
            found[text] = _CALLS[flags]
            at += _METHOD_BYTES
        return found if len(found) >= _FEWEST_METHODS else {}

    def _offset(self, pointer: int) -> int | None:
        address = pointer - self._base
        for _, size, begin, raw, start in self._sections:
            if begin <= address < begin + min(size, raw):
                return start + address - begin
        return None

    def _text(self, pointer: int) -> str | None:
        at = self._offset(pointer)
        if at is None:
            return None
        raw = self._data[at : self._data.find(b"\0", at, at + 80)]
        text = raw.decode("ascii", errors="replace")
        return text if text.replace("_", "").replace(".", "").isalnum() else None


if __name__ == "__main__":
    INVENTORY.write_text(json.dumps(inventory(download()), indent=1) + "\n")
