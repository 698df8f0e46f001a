"""The stricter level holds, whoever asks for it."""

from __future__ import annotations

import itertools

import pytest

from vedette.contracts.privacy import Privacy
from vedette.core.privacy import ORDER, effective


def test_every_level_has_its_place() -> None:
    assert sorted(ORDER) == sorted(Privacy)
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize(("application", "ceiling"), list(itertools.product(Privacy, Privacy)))
def test_neither_side_can_make_it_more_open(application: Privacy, ceiling: Privacy) -> None:
    found = effective(application, ceiling)
    assert found in (application, ceiling)
    assert ORDER.index(found) >= ORDER.index(application)
    assert ORDER.index(found) >= ORDER.index(ceiling)
    assert found is effective(ceiling, application)


def test_an_application_cannot_lift_the_ceiling() -> None:
    assert effective(Privacy.NONE, Privacy.BLUR) is Privacy.BLUR
    assert effective(Privacy.METADATA_ONLY, Privacy.NONE) is Privacy.METADATA_ONLY
