"""Links between the documents lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DOCUMENTS = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in (
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "bench").glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "examples").glob("*/*.md"),
        *(REPOSITORY / "components").glob("*/*.md"),
    )
)


def anchors(page: Path) -> set[str]:
    """What its headings are linked by."""
    text = page.read_text()
    titles = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    named = set(re.findall(r'<a id="([^"]+)">', text))
    return named | {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_of_a_page_leads_somewhere(document: str) -> None:
    page = REPOSITORY / document
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked), f"{target}#{anchor}"
