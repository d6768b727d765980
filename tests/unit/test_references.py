"""Every fact that the code cites stands in a page of docs/reference, under the number it is cited by."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.home import CHECKOUT

REFERENCE = CHECKOUT / "docs" / "reference"
PAGES = sorted(path.stem for path in REFERENCE.glob("*.md") if path.stem != "README")
SECTION = r"(?:§\d+(?:\.\d+)?|T\d)"
CITATION = re.compile(rf"\b({'|'.join(PAGES)})\.md ({SECTION}(?:(?:, | to | and ){SECTION})*)")
PLACES = ("flows", "tasks", "models", "infra", "tests", "docs/reference")
KINDS = {".py", ".md", ".txt", ".toml", ".cc", ".h"}


def sections(page: str) -> set[str]:
    """The numbers that a page defines: in a heading, or in bold at the start of a list item."""
    text = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
    return set(re.findall(rf"^(?:#+ |- \*\*)({SECTION})", text, re.MULTILINE))


def files() -> Iterator[Path]:
    for place in PLACES:
        yield from (path for path in (CHECKOUT / place).rglob("*") if path.suffix in KINDS and path != Path(__file__))


def citations() -> Iterator[tuple[Path, str, str]]:
    """Each citation as file, page and section; a citation may be broken over two lines."""
    for path in files():
        text = re.sub(r"\s*\n\s*(?:# *)?", " ", path.read_text(encoding="utf-8"))
        for page, numbers in CITATION.findall(text):
            yield from ((path, page, number) for number in re.findall(SECTION, numbers))


def test_cited_sections_exist() -> None:
    defined = {page: sections(page) for page in PAGES}
    cited = list(citations())
    assert len(cited) > 100
    missing = {
        f"{path.relative_to(CHECKOUT)}: {page}.md {number}"
        for path, page, number in cited
        if number not in defined[page]
    }
    assert not missing


def test_every_section_number_names_its_page() -> None:
    """A paper's section follows its year; every other one follows the name of a page."""
    nameless = set()
    for path in files():
        if REFERENCE in path.parents:
            continue
        text = CITATION.sub("", re.sub(r"\s*\n\s*(?:# *)?", " ", path.read_text(encoding="utf-8")))
        for found in re.finditer(r"§\d", text):
            before = text[max(0, found.start() - 90) : found.start()]
            if not re.search(r"\b(?:19|20)\d\d\b", before):
                nameless.add(f"{path.relative_to(CHECKOUT)}: {before[-40:]}")
    assert not nameless


def test_cited_pages_exist() -> None:
    named = {
        f"{path.relative_to(CHECKOUT)}: {page}"
        for path in files()
        for page in re.findall(r"docs/reference/(\w[\w-]*)\.md", path.read_text(encoding="utf-8"))
        if not (REFERENCE / f"{page}.md").exists()
    }
    assert not named


@pytest.mark.parametrize("page", PAGES)
def test_the_index_lists_every_page(page: str) -> None:
    assert f"({page}.md)" in (REFERENCE / "README.md").read_text(encoding="utf-8")
