"""A bundle for diagnostics says how the device is, and no credential or address of a camera, whatever lies around."""

from __future__ import annotations

import io
import json
import logging
import random
import string
import tarfile
import tempfile
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_ingest.diagnostics import MAX_KEPT, Diagnostics
from vedette.adapters.state.files import write_component_status
from vedette.adapters.state.layout import StateLayout
from vedette.compose.diagnostics import MAX_BUNDLE_BYTES, MAX_LOG_BYTES, MAX_LOGS, diagnostics_bundle
from vedette.contracts.device_document import DiagnosticsRequest
from vedette.contracts.errors import DeliveryError
from vedette.core.redact import RedactingFilter
from vedette.core.scrub import scrub

SECRET = st.text(string.ascii_letters + string.digits + "@:/?#%&='\" ü", min_size=6, max_size=24).filter(
    lambda text: text.strip() == text and len(set(text)) > 4
)


def unpacked(body: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]


def no_journal(_component: str) -> str:
    raise FileNotFoundError(2, "no journal here")


def state(folder: Path) -> Path:
    layout = StateLayout(folder / "state")
    layout.create()
    return layout.root


@settings(max_examples=20, deadline=None)
@given(SECRET, SECRET)
def test_planted_secrets_never_leave(known: str, other: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root, logs = state(Path(name)), Path(name) / "logs"
        logs.mkdir()
        layout = StateLayout(root)
        forms = [
            known,
            quote(known, safe=""),
            b64encode(known.encode()).decode(),
            f"rtsp://admin:{quote(known, safe='')}@10.0.0.7/s",
        ]
        (layout.secrets / "camera-x.json").write_text(json.dumps({"username": "admin-user", "password": known}))
        (layout.secrets / "alerting-y.json").write_text(json.dumps({"key": other}))
        write_component_status(
            root, "vedette.Alerting", {"problems": forms, "password": known, "nested": [{"token": other}]}
        )
        layout.plan.write_text(
            json.dumps({"actions": {"a/b": {"url": f"https://x.example/{quote(other, safe='')}"}}, "problems": forms})
        )
        layout.document.write_text(
            json.dumps({"raw": {"cameras": {"hall": {"url": "rtsp://10.0.0.7/s", "secret": "n"}}}})
        )
        (logs / "vedette.Alerting.log").write_text("\n".join(["start", *forms, other, "end"]))
        body = diagnostics_bundle(root, "SN-1", logs=logs, recent={"self": f"{known} {other}"}, journal=no_journal)
        files = unpacked(body)
        for secret in (known, other):
            for form in (secret, quote(secret, safe=""), b64encode(secret.encode()).decode(), json.dumps(secret)[1:-1]):
                for file, content in files.items():
                    assert form.encode() not in content, (file, form)
        assert b"10.0.0.7" not in files["document.json"] + files["plan.json"]
        assert b"start" in files["logs/vedette.Alerting.log"]
        assert b"end" in files["logs/vedette.Alerting.log"]


def test_it_says_what_is_missing_and_no_pictures_are_in_it(tmp_path: Path) -> None:
    root = state(tmp_path)
    (root / "evidence" / "a").mkdir()
    (root / "evidence" / "a" / "snapshot.jpg").write_bytes(b"\xff\xd8 picture")
    write_component_status(root, "vedette.Inference", {"models": {}})
    files = unpacked(diagnostics_bundle(root, "SN-1", journal=no_journal))
    missing = files["missing.txt"].decode()
    assert "vedette.Alerting has told nothing" in missing
    assert "plan.json: there is none" in missing
    assert "no journal here" in missing
    assert json.loads(files["storage.json"])["files"]["evidence"] == len(b"\xff\xd8 picture")
    assert b"picture" not in b"".join(files.values())


def test_it_never_grows_beyond_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 200_000
    monkeypatch.setattr("vedette.compose.diagnostics.MAX_BUNDLE_BYTES", limit)
    root, logs = state(tmp_path), tmp_path / "logs"
    logs.mkdir()
    dice = random.Random(1)
    for number in range(30):
        (logs / f"vedette.app.a{number}.log").write_text(
            "\n".join("".join(dice.choices(string.ascii_letters, k=99)) for _ in range(1_000))
        )
    body = diagnostics_bundle(root, "SN-1", logs=logs, journal=no_journal)
    assert limit / 2 < len(body) <= limit < MAX_BUNDLE_BYTES
    files = unpacked(body)
    kept = [name for name in files if name.startswith("logs/")]
    given_up = [line for line in files["missing.txt"].decode().splitlines() if "no room" in line]
    assert kept
    assert len(kept) + len(given_up) == MAX_LOGS
    assert max(len(files[name]) for name in kept) <= MAX_LOG_BYTES


@settings(max_examples=40)
@given(
    st.recursive(
        st.text() | st.none() | st.integers() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_scrubbing_keeps_the_form(value: Any) -> None:
    clean = scrub(value)
    assert scrub(clean) == clean
    json.dumps(clean)


class Bucket:
    def __init__(self, works: bool) -> None:
        self.works, self.objects = works, dict[str, bytes]()

    def put(self, key: str, body: bytes, content_type: str) -> None:
        if not self.works:
            raise DeliveryError("no uplink")
        self.objects[key] = body


def request(name: str = "r1", bucket: str = "evidence") -> DiagnosticsRequest:
    return DiagnosticsRequest(id=name, asked_at=datetime.now(UTC), bucket=bucket, region="eu-central-1")


@pytest.mark.parametrize("works", [True, False])
def test_it_goes_to_the_bucket_or_stays(tmp_path: Path, works: bool) -> None:
    root, bucket = state(tmp_path), Bucket(works)
    maker = Diagnostics(root, "SN-1", RedactingFilter(), lambda _: None, connect=lambda *_: bucket)
    logging.getLogger("x").warning("a line of this process")
    try:
        for number in range(MAX_KEPT + 3):
            report = maker.answer(request(f"r{number}"))
    finally:
        maker.close()
    kept = sorted((root / "diagnostics").glob("*")) if not works else []
    if works:
        assert report.where == "s3://evidence/SN-1/diagnostics/r7.tar.gz"
        assert (
            b"a line of this process"
            in unpacked(bucket.objects["SN-1/diagnostics/r7.tar.gz"])["logs/camera-ingest.recent.log"]
        )
        assert not (root / "diagnostics").exists()
    else:
        assert report.state == "KEPT"
        assert "no uplink" in report.reason
        assert [path.name for path in kept] == [f"r{number}.tar.gz" for number in range(3, 8)]
        assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
        assert str(kept[-1]) == report.where


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    root = state(tmp_path)
    (root / "diagnostics").write_text("in the way")
    maker = Diagnostics(root, "SN-1", RedactingFilter(), lambda _: None)
    try:
        report = maker.answer(request(bucket=""))
    finally:
        maker.close()
    assert report.state == "FAILED"
