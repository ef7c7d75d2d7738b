# SPDX-License-Identifier: Apache-2.0
"""The table in `docs/requirements.md` is well formed and names only what exists."""

import re
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "requirements.md"
PREFIXES: Final = ("R-P", "R-A", "R-C")
ISSUES: Final = {3, 4, 5, 6}

ROW: Final = re.compile(r"^\|\s*R-[A-Z]+-")
ID: Final = re.compile(r"(R-[A-Z])-(\d{3})")
OPEN: Final = re.compile(r"open \((?:issue (\d+)|no issue)\)")
NOT_PROVEN: Final = re.compile(
    r"not proven here \((?:a MetaQuotes terminal|a Windows node|a broker): docs/[\w-]+\.md\)"
)
TEST: Final = re.compile(r"`tests/[\w./-]+\.py(::\w+)?`")
TOP: Final = (
    "operator",
    "sidecar",
    "crds",
    "charts",
    "images",
    "tests",
    "bench",
    "tools",
    "docs",
    "locks",
)
# A path begins with a folder of the repository: `/api/order` and `and/or` are none.
PATH: Final = re.compile(rf"(?<![\w./-])((?:{'|'.join(TOP)})/[\w./-]*\w/?)(?:::(\w+))?")
MODULE: Final = re.compile(r"`(mt5_(?:operator|sidecar|agent|simulator)(?:\.\w+)*)`")


class Row(NamedTuple):
    """One demand: the four cells of a line of the table."""

    id: str
    demand: str
    where: str
    shown: str


def rows(text: str) -> list[Row]:
    """Return the demands of a page, in its order."""
    return [row(line) for line in text.splitlines() if ROW.match(line)]


def row(line: str) -> Row:
    """Return the demand in one line of the table."""
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if len(cells) != len(Row._fields) or not all(cells):
        msg = f"not four filled cells: {line}"
        raise ValueError(msg)
    return Row(*cells)


def misnumbered(table: list[Row]) -> list[str]:
    """Return each id that is not the next number of its prefix."""
    last: Counter[str] = Counter()
    wrong = []
    for each in table:
        match = ID.fullmatch(each.id)
        if match is None or match[1] not in PREFIXES or int(match[2]) != last[match[1]] + 1:
            wrong.append(each.id)
        else:
            last[match[1]] += 1
    return wrong


def unclear(shown: str) -> list[str]:
    """Return the parts of a last cell that are neither a test nor a state that we know."""
    return [part for part in shown.split("; ") if part != "deviation" and not clear(part)]


def clear(part: str) -> bool:
    """Tell whether a part of a last cell is a test, open with an issue that we have, or beyond what
    can be shown here."""
    found = OPEN.fullmatch(part)
    if NOT_PROVEN.fullmatch(part):
        return True
    if found is None:
        return TEST.fullmatch(part) is not None
    return found[1] is None or int(found[1]) in ISSUES


def absent(each: Row, root: Path) -> list[str]:
    """Return each path, test and (in a row shown by a test) module that does not exist."""
    missing = [
        path + (f"::{test}" if test else "")
        for path, test in PATH.findall(f"{each.where} {each.shown}")
        if not (root / path).exists() or (test and not defines(root / path, test))
    ]
    if PATH.search(each.shown):
        missing += [name for name in MODULE.findall(each.where) if not module_exists(name, root)]
    return missing


def defines(path: Path, test: str) -> bool:
    """Tell whether a file has a function or class of that name."""
    return re.search(rf"^\s*(async )?(def|class) {test}\b", path.read_text(), re.M) is not None


def module_exists(name: str, root: Path) -> bool:
    """Tell whether a dotted name is a module or a package of ours."""
    path = name.replace(".", "/")
    places = [root / room / path for room in ("operator", "sidecar")]
    return any(place.is_dir() or place.with_suffix(".py").is_file() for place in places)


@pytest.fixture(scope="module")
def table() -> list[Row]:
    """Return the demands of the page."""
    return rows(PAGE.read_text())


def test_every_document_has_its_demands_numbered_without_gaps(table: list[Row]) -> None:
    assert misnumbered(table) == []
    assert {each.id[:3] for each in table} == set(PREFIXES)


def test_the_counts_at_the_top_are_those_of_the_table(table: list[Row]) -> None:
    text = PAGE.read_text()
    counted = Counter(each.id[:3] for each in table)

    said = {p: int(n) for p, n in re.findall(r"^\| (R-[A-Z]) \|.*\| (\d+) \|$", text, re.M)}
    total = re.search(r"There are (\d+) demands", text)

    assert said == counted
    assert total is not None
    assert int(total[1]) == len(table)


def test_every_demand_says_where_in_its_document_it_stands(table: list[Row]) -> None:
    silent = [each.id for each in table if not re.search(r"\([^()]+\)$", each.demand)]

    assert silent == []


def test_every_demand_is_asked_once(table: list[Row]) -> None:
    asked = Counter((each.id[:3], each.demand) for each in table)

    assert [demand for demand, times in asked.items() if times > 1] == []


def test_every_demand_is_shown_by_a_test_or_says_why_not(table: list[Row]) -> None:
    wrong = {each.id: unclear(each.shown) for each in table if unclear(each.shown)}

    assert wrong == {}


def test_only_a_deviation_needs_no_test(table: list[Row]) -> None:
    wrong = [
        each.id
        for each in table
        if "deviation" in each.shown.split("; ")
        and (each.shown != "deviation" or not each.where.startswith("Deviation: "))
    ]

    assert wrong == []


def test_what_cannot_be_proven_here_is_shown_as_far_as_it_goes(table: list[Row]) -> None:
    wrong = [
        each.id
        for each in table
        if NOT_PROVEN.search(each.shown) and not any(map(TEST.fullmatch, each.shown.split("; ")))
    ]

    assert wrong == []


def test_every_place_and_test_that_is_named_exists(table: list[Row]) -> None:
    wrong = {each.id: absent(each, ROOT) for each in table if absent(each, ROOT)}

    assert wrong == {}


# The checks themselves, on tables that are wrong.


@pytest.mark.parametrize(
    "line", ["| R-P-001 | a | b |", "| R-P-001 | a | b | c | d |", "| R-P-001 | a | | c |"]
)
def test_a_row_without_four_filled_cells_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="four filled cells"):
        rows(line)


@pytest.mark.parametrize(
    ("ids", "wrong"),
    [
        (["R-P-001", "R-P-002", "R-A-001"], []),
        (["R-P-001", "R-P-001"], ["R-P-001"]),
        (["R-P-001", "R-P-003"], ["R-P-003"]),
        (["R-P-002"], ["R-P-002"]),
        (["R-X-001", "R-P-1"], ["R-X-001", "R-P-1"]),
    ],
)
def test_a_repeated_skipped_or_unknown_number_is_found(ids: list[str], wrong: list[str]) -> None:
    assert misnumbered([Row(each, "d", "w", "s") for each in ids]) == wrong


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        ("open (issue 3)", []),
        ("open (no issue)", []),
        ("deviation", []),
        ("`tests/a/test_b.py::test_c`; open (issue 4)", []),
        ("open (issue 99)", ["open (issue 99)"]),
        ("`tests/a/test_b.py`; not proven here (a Windows node: docs/windows.md)", []),
        ("not proven here (a bad day: docs/x.md)", ["not proven here (a bad day: docs/x.md)"]),
        ("not proven here", ["not proven here"]),
        ("open", ["open"]),
        ("done", ["done"]),
        ("tests/a/test_b.py", ["tests/a/test_b.py"]),
    ],
)
def test_a_state_that_nobody_knows_is_found(shown: str, wrong: list[str]) -> None:
    assert unclear(shown) == wrong


@pytest.mark.parametrize(
    ("where", "shown", "wrong"),
    [
        ("page `docs/gone.md`.", "open (issue 3)", ["docs/gone.md"]),
        ("`charts/gone/`", "open (issue 3)", ["charts/gone/"]),
        ("`/api/order`, `/docs/x`", "open (issue 3)", []),
        ("`mt5_sidecar.gone`", "open (issue 3)", []),
        ("`mt5_sidecar.gone`", "`tests/test_here.py`", ["mt5_sidecar.gone"]),
        ("`mt5_sidecar.here`", "`tests/test_here.py::test_it`", []),
        ("`mt5_sidecar`", "`tests/test_here.py::test_i`", ["tests/test_here.py::test_i"]),
        ("`mt5_sidecar`", "`tests/test_gone.py`", ["tests/test_gone.py"]),
    ],
)
def test_a_place_that_does_not_exist_is_found(
    where: str, shown: str, wrong: list[str], tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_here.py").write_text("async def test_it() -> None: ...\n")
    (tmp_path / "sidecar" / "mt5_sidecar").mkdir(parents=True)
    (tmp_path / "sidecar" / "mt5_sidecar" / "here.py").touch()

    assert absent(Row("R-P-001", "d", where, shown), tmp_path) == wrong
