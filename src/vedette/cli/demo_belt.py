"""``vedette demo``: the rendered belt, the quality-control example over it, and a verdict."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vedette.adapters.evidence.store import EvidenceStore
from vedette.adapters.journal.sqlite import SqliteJournalReader
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.belt_watch import BeltWatch
from vedette.cli.run import with_resolved_models
from vedette.cli.session import Session
from vedette.cli.viewer import Viewer
from vedette.contracts.errors import EvidenceError
from vedette.contracts.evidence import EvidenceRecord, EvidenceState
from vedette.contracts.manifest import Manifest
from vedette.contracts.privacy import Privacy
from vedette.contracts.tracks import TrackBatch
from vedette.local.camera_arguments import parse_camera_arguments
from vedette.local.data import data_directory
from vedette.local.edge import EdgeSettings, RunApplication
from vedette.local.simulated import SimulatedCameras
from vedette.testing.belt import BeltSettings, Footage, footage
from vedette.testing.belt.ejection import Ejected, ejected
from vedette.testing.belt.ejector import Ejector
from vedette.testing.belt.score import GRACE_S, Outcome, Passage, passages, score

CAMERA: Final = "belt"
EXAMPLE: Final = "quality_control"
#: What the demonstration promises for an alert.
PROMISED_S: Final = 1.0
_READ: Final = 5_000
_GAP_S: Final = 1.0
_SHOWN: Final = 5
_QUANTILES: Final = (("median", 0.5), ("95 %", 0.95), ("worst", 1.0))


@dataclass(frozen=True, slots=True)
class Watched:
    """What the journal says was analysed.

    Attributes:
        begin_s: Unix time of the first picture; infinite where there is none.
        first_at_s: Unix time at which its analysis ended.
        end_s: Unix time of the last picture.
        pictures: how many.
        longest_gap_s: longest time between two of them.
    """

    begin_s: float = float("inf")
    first_at_s: float = float("inf")
    end_s: float = float("-inf")
    pictures: int = 0
    longest_gap_s: float = 0.0


def belt_demo(
    console: Console, root: Path, seed: int, *, limit_s: float, started_s: float, headless: bool, keep: bool
) -> bool:
    """Render, serve, watch, judge; everything of the run is written under ``root``.

    Args:
        console: where everything is shown.
        root: the run's folder.
        seed: of the belt.
        limit_s: how long to watch.
        started_s: Unix time at which the command began.
        headless: plain lines.
        keep: whether the folder is there afterwards.

    Returns:
        Whether parts passed and every alert about them was right.
    """
    made = rendered(console, BeltSettings(seed=seed))
    path = data_directory("examples") / EXAMPLE / "vedette.yaml"
    manifest = with_resolved_models(load_manifest(path), path.parent, ModelStore(root / "models"))
    alerts_file = root / "alerts.jsonl"
    with (
        Ejector() as ejector,
        SimulatedCameras({CAMERA: made.video}, log_file=root / "simulator.log") as cameras,
        BeltWatch(made.truth, alerts_file, cameras.loops) as watch,
    ):
        console.print(f"[bold]camera[/bold]   {cameras.urls[CAMERA]}, {time.time() - started_s:.1f} s after the start")
        arguments = parse_camera_arguments(manifest, [f"{CAMERA}={cameras.urls[CAMERA]}"])
        settings = EdgeSettings(
            applications=(RunApplication(with_ejector(manifest, ejector.port), arguments.bindings),),
            cameras=arguments.cameras,
            root=root,
            alerts_file=alerts_file,
            thing_name="demo",
            privacy_ceiling=Privacy.NONE,  # rendered parts, and nobody among them
        )
        session = Session(
            settings, lambda gone: Viewer(gone, notes=console, alerts=console), keep=keep, remarks=watch.remarks
        )
        session.run(limit_s, headless=headless)
        watched = analysed(settings.state_directory / "journal.db")
        watch.stop()
        passed = passages(made.truth, watch.repetitions(), watched.begin_s, watched.end_s)
        outcome = score(passed, watch.reports())
        pushed = ejected(passed, ejector.strokes(), watched.end_s)
    console.print()
    tell_of_pictures(console, settings.state_directory if keep else rescued(settings.state_directory))
    return report(partial(console.print, soft_wrap=True), outcome, pushed, watched, started_s)


def rescued(state: Path) -> Path:
    """A run's finished evidence, where `vedette evidence` finds it when the run's folder is gone; the last run's goes.

    Args:
        state: the run's state directory.
    """
    home = Path(os.environ.get("HOME") or Path.home())
    kept = home / ".local" / "state" / "vedette" / "demo" / "state"
    shutil.rmtree(kept, ignore_errors=True)
    store = EvidenceStore(state / "evidence")
    for folder, record in records(store):
        if record.state is EvidenceState.MADE and record.snapshot is not None:
            shutil.copytree(folder, kept / "evidence" / folder.name)
    if kept.is_dir() and (state / "plan.json").is_file():
        shutil.copyfile(state / "plan.json", kept / "plan.json")
    return kept


def tell_of_pictures(console: Console, state: Path) -> None:
    """Say where the pictures of alerts are, and how to look at one."""
    found = [record for _, record in records(EvidenceStore(state / "evidence")) if record.snapshot is not None]
    if not found:
        return
    alert_id = found[-1].alert.alert_id[:12]
    say = partial(console.print, soft_wrap=True, highlight=False)
    say(f"{'pictures of alerts':<20} {len(found)} in {state / 'evidence'}")
    say(f"{'  look at one':<20} vedette evidence open {alert_id} --state {state}")


def records(store: EvidenceStore) -> Iterator[tuple[Path, EvidenceRecord]]:
    """Folders with records that can be read, oldest first."""
    for folder in store.folders():
        with suppress(EvidenceError):
            yield folder, store.read(folder)


def with_ejector(manifest: Manifest, port: int) -> Manifest:
    """The manifest with the simulated PLC in the place of the site's."""
    actions = {
        name: action.model_copy(update={"host": "127.0.0.1", "port": port}) if action.type == "modbus" else action
        for name, action in manifest.actions.items()
    }
    return manifest.model_copy(update={"actions": actions})


def rendered(console: Console, settings: BeltSettings) -> Footage:
    """The footage, with a bar while it is made."""
    columns = TextColumn("[bold]belt[/bold]     {task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"rendering {settings.duration_s} s of footage, once", total=1.0, visible=False)
        made = footage(settings, progress=lambda share: bar.update(task, completed=share, visible=True))
    how = f"rendered in {made.rendered_s:.1f} s" if made.rendered_s else "from the cache"
    console.print(
        f"[bold]belt[/bold]     {len(made.truth.parts)} parts in {settings.duration_s} s, "
        f"{sum(part.defective for part in made.truth.parts)} of them defective, {how}",
        highlight=False,
    )
    return made


def analysed(journal_file: Path) -> Watched:
    """Read the journal of a run that is over."""
    found = Watched()
    with closing(SqliteJournalReader(journal_file)) as journal:
        journal.identity()
        after = 0
        while rows := journal.read(after, _READ):
            after = rows[-1][0]
            for _, batch in rows:
                if not isinstance(batch, TrackBatch):
                    continue
                at_s = batch.frame.wall_s
                first = found.pictures == 0
                found = Watched(
                    begin_s=at_s if first else found.begin_s,
                    first_at_s=batch.analysed_wall_s if first else found.first_at_s,
                    end_s=at_s,
                    pictures=found.pictures + 1,
                    longest_gap_s=0.0 if first else max(found.longest_gap_s, at_s - found.end_s),
                )
    return found


def report(say: Callable[..., None], outcome: Outcome, pushed: Ejected, watched: Watched, started_s: float) -> bool:
    """Say how right the alerts were, and the ejector.

    Args:
        say: prints a line; takes ``style`` and ``highlight``.
        outcome: alerts against the truth.
        pushed: the ejector's strokes against the truth.
        watched: what was analysed.
        started_s: Unix time at which the command began.

    Returns:
        Whether parts passed, and no alert was missed or false.
    """
    if not watched.pictures:
        say("NO VERDICT: no picture was analysed; the reason stands above.", style="bold red")
        return False

    def line(name: str, text: str) -> None:
        say(f"{name:<20} {text}", highlight=False)

    line("first picture", f"analysed {watched.first_at_s - started_s:.1f} s after the start; {watched.pictures} in all")
    if watched.longest_gap_s > _GAP_S:
        line("not analysed", f"for {watched.longest_gap_s:.1f} s at a stretch")
    if not outcome.passed:
        return _verdict(say, outcome)
    line("parts at the line", f"{len(outcome.passed)} that count, {outcome.defective} of them defective")
    line("reported", f"{len(outcome.caught)} of {outcome.defective}, {outcome.named_right} by the right name")
    for passage in outcome.missed[:_SHOWN]:
        line("  missed", _named(passage))
    for found, alert in outcome.false[:_SHOWN]:
        line("  false", f"{alert.label} for {_named(found) if found else 'nothing at the line'}")
    line("precision, recall", f"{outcome.precision:.3f}, {outcome.recall:.3f}")
    if outcome.caught:
        late = sum(delay_s > PROMISED_S for delay_s in outcome.delays_s)
        line(
            "line to alert",
            f"median {outcome.median_delay_s:.2f} s, worst {outcome.worst_delay_s:.2f} s"
            + (f"; {late} after more than {PROMISED_S:g} s" if late else ""),
        )
    line("pushed out", f"{pushed.pushed} of {pushed.pushed + pushed.left} defective parts, {pushed.wrongly} good ones")
    if pushed.errors_s:
        at = ", ".join(f"{words} {pushed.error_s(share) * 1e3:.0f} ms" for words, share in _QUANTILES)
        line("  off its middle by", at)
    return _verdict(say, outcome)


def _verdict(say: Callable[..., None], outcome: Outcome) -> bool:
    """The one line that matters."""
    if not outcome.passed:
        say(
            "NO VERDICT: no part came in and passed the line while it was watched; run it for longer, such as "
            f"--for 60s (a part takes 6 s, and the last {GRACE_S:g} s do not count).",
            style="bold yellow",
        )
        return False
    wrong = len(outcome.missed) + len(outcome.false)
    if wrong:
        say(f"WRONG: {len(outcome.missed)} missed, {len(outcome.false)} false.", style="bold red", highlight=False)
        return False
    say(
        f"RIGHT: each of the {outcome.defective} defective parts was reported once, none of the "
        f"{len(outcome.passed) - outcome.defective} good ones.",
        style="bold green",
        highlight=False,
    )
    return True


def _named(passage: Passage) -> str:
    part = passage.part
    return f"part {part.number} of repetition {part.repetition + 1} ({part.kind.value}, {part.label.value})"
