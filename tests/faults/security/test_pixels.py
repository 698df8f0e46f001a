"""X5: pictures with a mark in them, every byte that anybody received searched for it and weighed."""

from __future__ import annotations

import http.client
import time
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.actions.receivers import WebhookLedger, until
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row
from tests.privacy.tap import Tap
from tests.privacy.test_nothing_leaves import run_site
from tests.privacy.test_watermark import FORMS
from tests.privacy.watermark import contains_mark, mark

pytestmark = [pytest.mark.processes]

#: What a receiver may be sent on average for one alert, headers included, bytes.
PER_ALERT: Final = 1024
#: What one message to the cloud may hold, packed by DEFLATE: counts, times, numbers of a heat map, bytes.
PER_MESSAGE: Final = 1024


def found_on_purpose() -> list[str]:
    """In which of the forms a picture is found that is sent to a receiver through the same tap."""
    webhook = WebhookLedger()
    webhook.answer = lambda _number: (400, {})
    found = []
    try:
        for name, form in FORMS.items():
            tap = Tap(webhook.port)
            try:
                connection = http.client.HTTPConnection("127.0.0.1", tap.port, timeout=10)
                connection.request("POST", "/", body=form(mark()))
                connection.getresponse().read()
                connection.close()
                until(lambda tap=tap: any(tap.sent()), "it is on the wire", 10)  # type: ignore[misc]
                if any(contains_mark(content) for content in tap.sent()):
                    found.append(name)
            finally:
                tap.close()
    finally:
        webhook.close()
    return found


@pytest.mark.timeout(300)
def test_x5_pixels(short_tmp: Path) -> None:
    begun_s = time.monotonic()
    alerts = scorecard.size(quick=4, full=20)
    applications: dict[str, dict[str, Any]] = {"plain": {}, "asking": {"evidence": {"snapshot": True}}}
    with ExitStack() as stack:
        site = run_site(short_tmp, alerts, stack, applications)
        until(lambda: [r for r in site.records("asking") if r["state"] == "made"], "evidence is judged", 40)
        written = len(site.watched.alerts())
        wires = {name: b"".join(tap.sent()) for name, tap in site.taps.items()}
        sent = list(site.sent())
        kept = [content for _, content in site.written()]
        evidence = site.evidence()
    hits = [(name, form) for name, content in sent if (form := contains_mark(content))]
    on_disk = [form for content in kept if (form := contains_mark(content))]
    per_alert = {name: len(content) / written for name, content in wires.items()}
    packed = max(len(zlib.compress(content, 9)) for content in messages(site_messages=sent))
    over = [name for name, size in per_alert.items() if size > PER_ALERT] + (["cloud"] if packed > PER_MESSAGE else [])
    control = found_on_purpose()
    value = len(hits) + len(on_disk) + len(evidence) + len(over)
    seen = len(control) == len(FORMS)
    row = Row(
        "X5",
        "receivers and files with a pixel of the footage in them, or with more than their budget of bytes",
        value,
        "receivers and files",
        len(sent) + len(kept),
        "0",
        passed=value == 0 and seen and written >= alerts,
        control=Control("a picture sent to a receiver on purpose, in as many forms: found", len(control), seen),
        notes=f"{written} alerts to a webhook, a broker, the cloud and a file, insights with a heat map, one application "
        f"that asks for snapshots without asking for less privacy. {sum(len(c) for _, c in sent)} bytes received and "
        f"{sum(map(len, kept))} bytes written were searched. On the wire for one alert: "
        + ", ".join(f"{name} {size:.0f} B" for name, size in sorted(per_alert.items()))
        + f" (budget {PER_ALERT} B); the largest message packed: {packed} B (budget {PER_MESSAGE} B); one picture as a poor JPEG is {len(FORMS['poor JPEG'](mark()))} B. Found: "
        f"{[*hits, *on_disk, *map(str, evidence), *over] or 'nothing'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


def messages(site_messages: list[tuple[str, bytes]]) -> list[bytes]:
    """Messages one by one: what was sent to the cloud, without the first entry, which is all of them together."""
    return [content for name, content in site_messages if name == "cloud"][1:]
