"""No file that is shipped, in whatever language, holds a key or a password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.test_dangerous_calls import SHIPPED

FOLDERS = (*SHIPPED, "recipes", "examples", "requirements", "scripts", "docs")
#: Private keys, keys of AWS, tokens of well-known services, and passwords in addresses.
SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*\w"
    r"|\bA[KS]IA[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_\w{30}|\bxox[abp]-\w|\bAIza[\w-]{30}"
    r"|://[^\s/:@\"'{}<>]+:(?P<password>[^\s/@\"'{}<>]+)@"
)
#: What stands for a password in an example.
MEANT = {"password", "secret"}


def secrets(text: str) -> Iterator[str]:
    """What looks like one, cut short."""
    for found in SECRET.finditer(text):
        if (found["password"] or "").lower() not in MEANT:
            yield found[0][:30]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE",
        "key: AKIA" + "A" * 16,
        "token = ghp_" + "a" * 36,
        "rtsp://admin:hunter2@10.0.0.7/s",
        "https://me:pässwort@example.com",
    ],
)
def test_what_should_be_found_is_found(text: str) -> None:
    assert len(list(secrets(text))) == 1
    assert list(secrets("rtsp://user:password@10.0.0.7/stream, rtsp://10.0.0.7:554/@x, {user}:{word}@host")) == []


def test_nothing_that_is_shipped_holds_a_secret() -> None:
    files = [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*")) if _text(path)]
    assert len(files) > 500
    found = [f"{path.relative_to(REPOSITORY)}: {one}" for path in files for one in secrets(path.read_text("utf-8"))]
    assert found == []


def _text(path: Path) -> bool:
    """Whether it is a file of text."""
    if not path.is_file() or "__pycache__" in path.parts:
        return False
    try:
        path.read_text("utf-8")
    except UnicodeDecodeError:
        return False
    return True
