from __future__ import annotations

import re

from tests.conftest import REPOSITORY
from vedette.contracts.errors import ERROR_CODES

TEXT = (REPOSITORY / "docs" / "errors.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (V\d{3})\n\n(.+?)(?=^## |\Z)", TEXT, re.M | re.S))


def test_every_code_is_documented_in_order_and_no_other() -> None:
    assert list(SECTIONS) == sorted(ERROR_CODES)


def test_every_paragraph_says_title_cause_check_and_fix() -> None:
    for code, paragraph in SECTIONS.items():
        assert paragraph.startswith(f"**{ERROR_CODES[code].title}.**"), code
        positions = [" ".join(paragraph.split()).find(word) for word in ("Cause: ", "Check: ", "Fix: ")]
        assert -1 not in positions, code
        assert positions == sorted(positions), code


def test_every_code_used_in_the_source_exists() -> None:
    for file in (REPOSITORY / "src").rglob("*.py"):
        for code in re.findall(r"code=\"(V\d+)\"", file.read_text("utf-8")):
            assert code in ERROR_CODES, f"{file}: {code}"


def test_commands_named_in_the_document_exist() -> None:
    from vedette.cli.main import COMMANDS

    known = {(spec.name, child.name) for spec in COMMANDS for child in spec.children}
    known |= {(spec.name, "") for spec in COMMANDS if not spec.children}
    for match in re.finditer(r"`vedette ([a-z]+)(?: ([a-z]+))?", TEXT):
        assert (match[1], match[2] or "") in known or (match[1], "") in known, match[0]
