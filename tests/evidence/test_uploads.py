"""Copies in the owner's bucket: only for those who opted in, once, and also after an outage or a kill."""

from __future__ import annotations

import itertools
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.actions.test_s3 import KEYS, Bouncer
from tests.cli.test_evidence_commands import PICTURE, VIDEO, alert, keep
from vedette.adapters.egress.s3 import Bucket, S3Store
from vedette.adapters.evidence.store import EvidenceStore
from vedette.compose.evidence_uploads import RETRY_FIRST_S, RETRY_MAX_S, STEP_S, EvidenceUploads
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.contracts.evidence import EvidenceRecord
from vedette.contracts.manifest import ClipSettings, Evidence, UploadSettings

SETTINGS = UploadSettings(bucket="my-evidence", region="eu-central-1", prefix="site-7/")


class Cloud:
    """A bucket that checks signatures, and the process that copies into it."""

    def __init__(self, root: Path) -> None:
        self.bouncer = Bouncer()
        self.store = EvidenceStore(root / "evidence")
        self.now_s = 0.0
        self.copier = self.start()

    def start(self) -> EvidenceUploads:
        def connect(settings: UploadSettings) -> S3Store:
            return S3Store(Bucket(settings.bucket, settings.region, self.bouncer.url), KEYS)

        return EvidenceUploads(self.store, connect, monotonic=lambda: self.now_s)

    def keep(self, root: Path, digit: str, upload: UploadSettings | None = SETTINGS, **more: Any) -> str:
        folder, record = keep(root, alert(digit), **more)
        asked = Evidence(clip=ClipSettings(), upload=upload)
        self.store.write(record.model_copy(update={"asked": asked}))
        return folder.name

    def record(self, name: str) -> EvidenceRecord:
        return self.store.read(self.store.directory / name)


@pytest.fixture
def cloud(tmp_path: Path) -> Any:
    one = Cloud(tmp_path)
    yield one
    one.bouncer.shutdown()
    one.bouncer.server_close()


def test_files_are_copied_once_and_a_link_gives_them_back(cloud: Cloud, tmp_path: Path) -> None:
    name = cloud.keep(tmp_path, "a")
    cloud.copier.step()
    key = f"site-7/edge-1/{name}"
    assert cloud.bouncer.objects == {
        f"/my-evidence/{key}/snapshot.jpg": ("image/jpeg", PICTURE),
        f"/my-evidence/{key}/clip.mp4": ("video/mp4", VIDEO),
    }
    assert [copy.key for copy in cloud.record(name).uploads] == [f"{key}/snapshot.jpg", f"{key}/clip.mp4"]
    link = S3Store(Bucket("my-evidence", "eu-central-1", cloud.bouncer.url), KEYS).link(f"{key}/clip.mp4", 900)
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == VIDEO
    cloud.bouncer.objects.clear()
    cloud.copier.step()
    cloud.start().step()
    assert cloud.bouncer.objects == {}


def test_nothing_leaves_without_being_asked_for(cloud: Cloud, tmp_path: Path) -> None:
    cloud.keep(tmp_path, "a", upload=None)
    cloud.keep(tmp_path, "b", upload=SETTINGS.model_copy(update={"snapshot": False, "clip": False}))
    cloud.keep(tmp_path, "c", files=False)
    only = cloud.keep(tmp_path, "d", upload=SETTINGS.model_copy(update={"clip": False}))
    cloud.copier.step()
    assert list(cloud.bouncer.objects) == [f"/my-evidence/site-7/edge-1/{only}/snapshot.jpg"]


def test_an_outage_is_waited_for_and_survives_a_restart(cloud: Cloud, tmp_path: Path) -> None:
    names = [cloud.keep(tmp_path, digit) for digit in "ab"]
    cloud.bouncer.answer = 503
    cloud.copier.step()
    cloud.now_s += RETRY_FIRST_S / 2
    cloud.bouncer.answer = 200
    cloud.copier.step()
    assert cloud.bouncer.objects == {}, "it waits before it tries again"
    assert [cloud.record(name).shortfalls for name in names] == [(), ()]
    cloud.start().step()
    assert len(cloud.bouncer.objects) == 4


def test_a_name_that_leads_elsewhere_for_a_while_writes_nothing_off(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [cloud.keep(tmp_path, digit) for digit in "ab"]

    def elsewhere(*_: object) -> None:
        raise ConfigurationError("my-evidence: 192.168.8.1 is not allowed.", code="V105")

    with monkeypatch.context() as patched:
        patched.setattr(S3Store, "put", elsewhere)
        cloud.copier.step()
    assert [cloud.record(name).shortfalls for name in names] == [(), ()]
    cloud.now_s += RETRY_FIRST_S
    cloud.copier.step()
    assert [len(cloud.record(name).uploads) for name in names] == [2, 2]


class BadLine:
    """A bucket that some files do not get into, after a minute each."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.tries: list[tuple[float, str]] = []
        self.stuck: set[str] = set()
        self.copier = EvidenceUploads(cloud.store, lambda _: self, monotonic=lambda: cloud.now_s)

    def put(self, key: str, body: bytes, content_type: str) -> None:
        name = key.split("/")[-2]
        self.tries.append((self.cloud.now_s, name))
        if name in self.stuck:
            self.cloud.now_s += 60.0
            raise DeliveryError("no answer in time", code="V502")

    def of(self, name: str) -> list[float]:
        return [at_s for at_s, tried in self.tries if tried == name]

    def steps(self, seconds: float) -> None:
        until_s = self.cloud.now_s + seconds
        while self.cloud.now_s < until_s:
            self.copier.step()
            self.cloud.now_s += STEP_S


def test_a_file_that_cannot_get_through_keeps_no_other_from_it(cloud: Cloud, tmp_path: Path) -> None:
    names = sorted(cloud.keep(tmp_path, digit) for digit in "abc")
    line = BadLine(cloud)
    line.stuck = {names[0]}
    line.copier.step()
    assert [name for _, name in line.tries] == names[:1], "the bucket may be away: nothing else is tried at once"
    line.steps(RETRY_FIRST_S + 1)
    assert [len(cloud.record(name).uploads) for name in names] == [0, 2, 2]
    line.steps(3600.0)
    tries = line.of(names[0])
    assert 8 <= len(tries) <= 20, "it is not given up, and not sent again and again"
    assert tries[-1] - tries[-2] >= RETRY_MAX_S
    new = cloud.keep(tmp_path, "d")
    line.steps(RETRY_MAX_S + 60.0)
    assert len(cloud.record(new).uploads) == 2
    line.stuck.clear()
    line.steps(RETRY_MAX_S + 1)
    assert len(cloud.record(names[0]).uploads) == 2


def test_where_the_bucket_is_away_alerts_take_turns_and_pauses_grow(cloud: Cloud, tmp_path: Path) -> None:
    names = sorted(cloud.keep(tmp_path, digit) for digit in "abc")
    line = BadLine(cloud)
    line.stuck = set(names)
    line.steps(3600.0)
    assert [name for _, name in line.tries[:6]] == [*names, *names]
    pauses = [after - before - 60.0 for (before, _), (after, _) in itertools.pairwise(line.tries)]
    for number, pause_s in enumerate(pauses):
        expected_s = min(RETRY_FIRST_S * 2**number, RETRY_MAX_S)
        assert expected_s <= pause_s <= expected_s + 2 * STEP_S
    line.stuck.clear()
    line.steps(RETRY_MAX_S + 2 * STEP_S)
    assert [len(cloud.record(name).uploads) for name in names] == [2, 2, 2], "all at once as soon as it is back"


def test_what_failed_and_was_taken_by_the_limit_is_forgotten(cloud: Cloud, tmp_path: Path) -> None:
    names = sorted(cloud.keep(tmp_path, digit) for digit in "ab")
    line = BadLine(cloud)
    line.stuck = set(names)
    line.steps(300.0)
    assert set(line.copier._failed) == set(names)
    shutil.rmtree(cloud.store.directory / names[0])
    line.stuck.clear()
    line.steps(RETRY_MAX_S + 2 * STEP_S)
    assert line.copier._failed == {}
    assert len(cloud.record(names[1]).uploads) == 2


def test_what_is_refused_for_good_is_said_and_not_tried_again(cloud: Cloud, tmp_path: Path) -> None:
    name = cloud.keep(tmp_path, "a")
    cloud.bouncer.answer = 404
    cloud.copier.step()
    (shortfall,) = cloud.record(name).shortfalls
    assert (shortfall.what, shortfall.code) == ("upload", "V501")
    assert "404" in shortfall.why
    cloud.bouncer.answer = 200
    cloud.start().step()
    assert cloud.bouncer.objects == {}


def test_a_kill_between_the_two_files_copies_the_other(cloud: Cloud, tmp_path: Path) -> None:
    name = cloud.keep(tmp_path, "a")
    cloud.copier.step()
    record = cloud.record(name)
    cloud.store.write(record.model_copy(update={"uploads": record.uploads[:1]}))
    cloud.bouncer.objects.clear()
    cloud.start().step()
    assert [key.rpartition("/")[2] for key in cloud.bouncer.objects] == ["clip.mp4"]
    assert len(cloud.record(name).uploads) == 2


@pytest.mark.parametrize(
    "field", [{"bucket": "Not_A_Bucket"}, {"bucket": "x", "region": "Frankfurt"}, {"bucket": "abc", "prefix": "/a"}]
)
def test_names_that_are_none_are_refused(field: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="pattern"):
        UploadSettings.model_validate(field)
