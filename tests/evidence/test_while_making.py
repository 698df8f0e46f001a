"""A clip with people covered takes minutes: meanwhile nobody else's evidence is lost, and the process shows life."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.evidence.packets import recorded
from tests.evidence.test_keeper import ASKED, Site, send, wait, whys
from vedette.adapters.packets import PacketFeed, PacketServer
from vedette.adapters.packets import feed as feed_module
from vedette.compose.evidence_maker import EvidenceMaker
from vedette.compose.evidence_process import LINGER_S, STEP_S, EvidenceKeeper
from vedette.contracts.alert import Alert
from vedette.contracts.evidence import EvidenceState
from vedette.contracts.packets import EncodedPacket
from vedette.contracts.privacy import Privacy
from vedette.core.preroll import Item


class SlowMasker:
    """Covers nobody, and takes its time for each picture of a clip: the keeper's, and whatever is done meanwhile.

    Attributes:
        pictures: covered so far.
    """

    def __init__(self, site: Site, picture_s: float, meanwhile: Callable[[int], None]) -> None:
        self.problems: tuple[str, ...] = ()
        self.pictures = 0
        self._site, self._picture_s, self._meanwhile = site, picture_s, meanwhile

    def cover(self, picture: NDArray[np.uint8], media_time_s: float, epoch: str) -> NDArray[np.uint8]:
        self.pictures += 1
        self._site.now_s += self._picture_s
        self._meanwhile(self.pictures)
        return picture.copy()


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    one = Site(short_tmp)
    one.film()
    one.serve()
    yield one
    one.close()


def slowly(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[int], None],
    *,
    picture_s: float = 1.0,
    clips: int = 1,
) -> list[SlowMasker]:
    """Let the first clips take so long for each picture; everything else is made at once."""
    maskers = [SlowMasker(site, picture_s, meanwhile) for _ in range(clips)]
    left = iter(maskers)

    def slow(_: EvidenceMaker, record: object, found: object, from_s: float, to_s: float, plan: object) -> object:
        return next(left, None) if to_s > from_s else None  # a snapshot is of one moment

    monkeypatch.setattr(EvidenceMaker, "_masker", slow)
    return maskers


def ask_elsewhere(site: Site, camera: str, number: int) -> Alert:
    alert = site.ask(number, device_camera=camera)
    site.store.write(site.record(alert).model_copy(update={"camera": camera}))
    return alert


def later(items: Sequence[Item], seconds: float) -> list[Item]:
    """The same packets as if they had come later; without notes of pictures, which nobody asks for."""
    return [
        EncodedPacket(one.stream, one.data, one.key, one.pts, one.dts, one.arrival_s + seconds)
        for one in items
        if isinstance(one, EncodedPacket)
    ]


def test_an_alert_elsewhere_loses_nothing_while_a_clip_is_made(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    yard = PacketServer(site.root / "run" / "packets" / "yard.sock", 60.0)
    for item in site.items:
        send(yard, item)
    alerts: list[Alert] = []
    made: list[bool] = []

    def meanwhile(picture: int) -> None:
        if picture == 3:
            alerts.append(ask_elsewhere(site, "yard", 31))
        if picture == 20:
            if (feed := site.keeper._feeds.get("yard")) is not None:
                wait(lambda: feed._latest_s >= site.last_s)
            yard.close()  # for a camera's process, what is older than some seconds is gone
            record = site.record(alerts[0])
            made.append(record.state is EvidenceState.MADE or record.snapshot is not None)

    (masker,) = slowly(site, monkeypatch, meanwhile)
    first = site.until_made(site.ask(30))
    assert masker.pictures >= 20
    assert whys(first) == ""
    second = site.until_made(alerts[0])
    assert whys(second) == ""
    assert second.snapshot is not None
    assert second.clip is not None
    assert made == [False], "while one clip is made, no other is begun"


def test_a_clip_that_takes_long_is_no_silence(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[float] = []
    keeper = site.keeper
    site.keeper = EvidenceKeeper(site.config, beat=lambda _: beats.append(site.now_s), monotonic=lambda: site.now_s)
    site.keepers.append(site.keeper)
    keeper.close()
    (masker,) = slowly(site, monkeypatch, lambda _: None, picture_s=10.0)
    begun_s = site.now_s
    assert whys(site.until_made(site.ask(30))) == ""
    assert site.now_s - begun_s >= 10.0 * masker.pictures >= 200.0
    assert max(after - before for before, after in itertools.pairwise(beats)) <= 10.0


def test_looking_costs_little_where_pictures_are_fast(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    look = EvidenceKeeper._look_for_records

    def counted(keeper: EvidenceKeeper, now_s: float) -> None:
        looks.append(now_s)
        look(keeper, now_s)

    monkeypatch.setattr(EvidenceKeeper, "_look_for_records", counted)
    begun: list[int] = []
    (masker,) = slowly(site, monkeypatch, lambda _: begun.append(len(looks)), picture_s=STEP_S / 10)
    assert whys(site.until_made(site.ask(30))) == ""
    assert begun[-1] - begun[0] <= 1 + masker.pictures / 10


def test_a_disk_that_cannot_be_read_meanwhile_costs_no_clip(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[bool] = []
    look = EvidenceKeeper._look_for_records

    def breaks(keeper: EvidenceKeeper, now_s: float) -> None:
        if masker.pictures == 5 and not broken:
            broken.append(True)
            raise OSError(5, "Input/output error")
        look(keeper, now_s)

    monkeypatch.setattr(EvidenceKeeper, "_look_for_records", breaks)
    (masker,) = slowly(site, monkeypatch, lambda _: None)
    record = site.until_made(site.ask(30))
    assert broken
    assert whys(record) == ""
    assert record.clip is not None


def test_packets_are_there_when_the_last_of_several_alerts_has_its_turn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the camera sends meanwhile; afterwards they go as before."""
    others, _ = recorded(site.root / "other.mp4", 2.0)
    shift_s = 0.0

    def meanwhile(picture: int) -> None:
        nonlocal shift_s
        if picture == 5:  # the camera goes on for much longer than a clip needs
            shift_s += 100.0
            film(shift_s)

    def film(shift_s: float) -> None:
        assert site.server is not None
        for item in later(others, shift_s):
            send(site.server, item)
            site.last_s = item.arrival_s  # type: ignore[union-attr]
        wait(site.received)

    slowly(site, monkeypatch, meanwhile, clips=2)
    alerts = [site.ask(number) for number in (28, 30, 32)]
    for alert in alerts:
        record = site.until_made(alert)
        assert whys(record) == ""
        assert record.clip is not None
    assert shift_s == 200.0
    feed = site.keeper._feeds["gate"]
    film(300.0)
    arrivals = [item.arrival_s for item in feed.items() if isinstance(item, EncodedPacket)]
    assert site.last_s - min(arrivals) < 150.0, "nobody waits any more: a group of pictures from before is enough"
    site.now_s += LINGER_S + 1
    site.keeper.step()
    assert "gate" not in site.keeper._feeds


def test_an_alert_soon_after_another_begins_the_wait_anew(site: Site) -> None:
    site.until_made(site.ask(28))
    site.keeper.step()
    site.now_s += LINGER_S - 1
    site.until_made(site.ask(30))
    site.now_s += 2.0
    site.keeper.step()
    assert "gate" in site.keeper._feeds
    site.now_s += LINGER_S
    site.keeper.step()
    assert "gate" not in site.keeper._feeds


def test_what_is_held_for_those_who_wait_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "LIMIT_BYTES", 20_000)
    feed = PacketFeed(site.root / "run" / "packets" / "gate.sock", 1.0)
    feed.hold(1.0)
    assert site.server is not None
    for shift_s in range(10, 200, 10):
        for item in later(site.items, float(shift_s)):
            send(site.server, item)
            site.last_s = item.arrival_s  # type: ignore[union-attr]
    wait(lambda: feed._latest_s >= site.last_s)
    held = [item for item in feed.items() if isinstance(item, EncodedPacket)]
    assert 0 < sum(len(item.data) for item in held) <= 20_000
    feed.close()


def test_a_record_that_the_disk_does_not_take_holds_no_packets(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made: only its last line is to be written."""
    monkeypatch.setattr(EvidenceKeeper, "_written", lambda *_: False)
    alert = site.ask(30)
    wait(lambda: site.keeper.step() or (site.folder(alert) / "clip.mp4").exists())  # type: ignore[func-returns-value]
    assert site.record(alert).state is EvidenceState.PENDING
    site.now_s += LINGER_S + 1
    site.keeper.step()
    assert "gate" not in site.keeper._feeds
    assert ASKED.clip is not None
    assert site.record(alert).privacy is Privacy.NONE
