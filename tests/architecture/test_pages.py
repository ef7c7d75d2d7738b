# SPDX-License-Identifier: Apache-2.0
"""What the pages point to is there."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    {
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(ROOT / "docs").glob("**/*.md"),
        *(ROOT / "images").glob("*/*.md"),
    }
)
LINK: Final = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ANCHOR: Final = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
# In code: a path from the root, or the name of a page beside this one. No placeholders, no globs.
PATH: Final = re.compile(
    r"`((?:operator|sidecar|crds|charts|images|tests|bench|tools|docs|locks)/[\w./-]+\w)(?:::(\w+))?`"
)
FORBIDDEN: Final = "operator/__init__.py"  # named as what must never be there
BESIDE: Final = re.compile(r"`([\w-]+\.md)`")
RECORD: Final = re.compile(r"\badr/(\d{3})")
# As in: (docs/healing.md, "When no step is taken"), also where the name is a link.
PASSAGE: Final = re.compile(r'([\w-]+\.md)[`\])]*(?:\([\w./-]+\))?, "([^"]+)"')
SOURCES: Final = (".py", ".lua", ".yaml", ".sh", ".tpl", ".txt", ".template")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_and_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text()

    links = [link for link in LINK.findall(text) if "://" not in link]
    dead = [link for link in links if not (page.parent / link).exists()]
    paths = [(path, test) for path, test in PATH.findall(text) if path != FORBIDDEN]
    dead += [path for path, _ in paths if not (ROOT / path).exists()]
    dead += [name for name in BESIDE.findall(text) if not (page.parent / name).exists()]
    for path, test in paths:
        if test and not re.search(rf"def {test}\b", (ROOT / path).read_text()):
            dead.append(f"{path}::{test}")

    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_anchor_names_a_heading(page: Path) -> None:
    links = [link for link in ANCHOR.findall(page.read_text()) if "://" not in link[0]]

    dead = [
        link
        for link in links
        if link[1] not in _anchors(page.parent / link[0] if link[0] else page)
    ]

    assert dead == []


def test_every_record_and_passage_that_is_named_in_words_exists() -> None:
    records = {file.name[:3] for file in (ROOT / "docs" / "adr").glob("*.md")}
    dead = []
    for file in [*PAGES, *_sources()]:
        text = file.read_text()
        dead += [(file, number) for number in RECORD.findall(text) if number not in records]
        dead += [(file, *named) for named in PASSAGE.findall(text) if not _has(*named)]

    assert dead == []


def _sources() -> list[Path]:
    rooms = ("operator", "sidecar", "charts", "images", "bench", "tests")
    files = [file for room in rooms for file in (ROOT / room).rglob("*")]
    return [file for file in files if file.suffix in SOURCES and file != Path(__file__)]


def _has(page: str, passage: str) -> bool:
    """Tell whether a page has a heading of this name, or a paragraph that begins with it."""
    file = ROOT / "docs" / page
    begins = rf"^(?:#+|(?:- )?\*{{1,2}}) ?{re.escape(passage)}"
    return not file.exists() or bool(re.search(begins, file.read_text(), re.MULTILINE))


def _anchors(page: Path) -> set[str]:
    # As GitHub makes them: of letters, digits, hyphens and underscores, lower-case.
    told = (
        re.sub(r"[^\w\- ]", "", heading).lower() for heading in HEADING.findall(page.read_text())
    )
    return {heading.strip().replace(" ", "-") for heading in told}
