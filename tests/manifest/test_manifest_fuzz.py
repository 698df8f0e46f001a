"""Whatever stands in the file: mistakes come back, never another error, and a clean file always loads."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.manifest.test_manifest_mistakes import GOOD
from tests.state.strategies import manifests
from vedette.adapters.manifest import check_manifest, load_manifest
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import Manifest
from vedette.core.yaml_reader import read_yaml

SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2000)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.sampled_from(["people", "main", "hall", "line_crossed", "dwell", "coco", "any", "", "10:00", "Europe/Berlin"])
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "zone", "line", "model", "cameras", "labels", "schedule", "for_s", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def check(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vedette.yaml"
        file.write_bytes(content)
        mistakes = check_manifest(file)
        for mistake in mistakes:
            assert mistake.line >= 1
            assert mistake.column >= 1
            assert mistake.headline in mistake.render()
        errors = [mistake for mistake in mistakes if mistake.level == "error"]
        if not errors:
            load_manifest(file)
            return
        with pytest.raises(ConfigurationError, match="mistake") as caught:
            load_manifest(file)
        assert caught.value.code == "V102"


@SETTINGS
@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    check(content)


@SETTINGS
@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@#?,. \n\t<0", max_size=60))
def test_any_yaml(text: str) -> None:
    check(text.encode())


@SETTINGS
@given(st.data())
def test_a_mutated_manifest(data: st.DataObject) -> None:
    document = yaml.safe_load(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        here: Any = document
        while True:
            if isinstance(here, dict) and here:
                key: Any = data.draw(st.sampled_from(sorted(here)))
            elif isinstance(here, list) and here:
                key = data.draw(st.integers(0, len(here) - 1))
            else:
                break
            inner = here[key]
            if not (isinstance(inner, dict | list) and inner and data.draw(st.integers(0, 3))):
                change = data.draw(st.sampled_from(["replace", "delete", "add"]))
                if change == "replace":
                    here[key] = data.draw(VALUES)
                elif change == "delete" and isinstance(here, dict):
                    del here[key]
                elif isinstance(here, dict):
                    here[data.draw(st.text(max_size=6))] = data.draw(VALUES)
                break
            here = inner
    check(yaml.safe_dump(document, sort_keys=False).encode())


@SETTINGS
@given(st.integers(0, len(GOOD) - 1), st.text(max_size=4), st.integers(0, 12))
def test_a_cut_manifest(position: int, inserted: str, removed: int) -> None:
    check((GOOD[:position] + inserted + GOOD[position + removed :]).encode("utf-8", "surrogatepass"))


@settings(max_examples=40, deadline=None)
@given(manifests("shop"))
def test_a_manifest_that_the_contract_accepts_reads_back(manifest: Manifest) -> None:
    text = json.dumps(manifest.model_dump(mode="json", exclude_none=True))
    document = read_yaml(text)
    assert document.notes == []
    assert Manifest.model_validate(document.value) == manifest
