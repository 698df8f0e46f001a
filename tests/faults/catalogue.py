"""What the scorecard is to show, whether it was measured or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vedette.contracts.fleet_metrics import SWEEP_MINUTES
from vedette.core.fleet.device_state import DISCONNECTED_S, OFFLINE_S

NOT_MEASURED: Final = "not measured here"
NOTHING_LISTENS: Final = "not applicable: nothing listens"
NEEDS_JETSON: Final = "needs a Jetson"
NOTICED_IN_THE_CLOUD: Final = (
    f"not met: offline {DISCONNECTED_S / 60:g} minutes after its connection ended, or {OFFLINE_S / 60:g} after its "
    f"last message; for alarms devices are counted every {SWEEP_MINUTES} minutes (runbooks.md)"
)


@dataclass(frozen=True)
class Wanted:
    """A figure, its goal, and what is said where it was not measured.

    Attributes:
        without: in place of the figure where there is none.
        tries: how many the goal asks for; 0 where it names no number, or one of something else than a row's ``n``.
    """

    id: str
    name: str
    goal: str
    without: str = NOT_MEASURED
    tries: int = 0


#: Shown first, with their neighbours.
HEADLINES: Final = ("R1", "R2", "R4", "R6", "R9", "X4", "X5")

RELIABILITY: Final = (
    Wanted("R1", "a silent camera is noticed, p99", "<= 2.0 s", tries=50),
    Wanted(
        "R2",
        "camera's port back to first analysed picture, p95 and max",
        "<= 1.0 s, <= 2.0 s, after outages of up to 60 s",
        tries=60,
    ),
    Wanted("R3", "worst extra gap between pictures of the other cameras during faults of cameras", "<= 200 ms"),
    Wanted("R3-model", "extra gap of other cameras of the same model when its process fails", "<= 200 ms"),
    Wanted("R4", "acknowledged alerts lost by kill -9 and power cuts", "0", tries=300),
    Wanted("R5", "alerts lost or duplicated in the ledger behind a hostile broker", "0 and 0", tries=1_000_000),
    Wanted("R6", "outage survived at 10 alerts/s of 600 B within 2 GB", ">= 72 h", tries=72 * 3600 * 10),
    Wanted("R7", "fresh alert while a backlog drains, p99; drain rate", "<= 2 s; >= 5,000/s"),
    Wanted("R8", "broker back to first delivery, p95; peak of a herd of 1,000 in 100 ms", "<= 2 s; <= 3 %"),
    Wanted(
        "R9",
        "kill -9 to first analysed picture, p95; kills an hour without a component error",
        "<= 3 s; >= 1,000",
        tries=60,
    ),
    # Twenty runs are asked for, of both kinds together.
    Wanted("R10", "process start to first analysed picture, page cache emptied", "<= 3 s", tries=10),
    Wanted("R10-warm", "process start to first analysed picture, files in the page cache", "<= 1.5 s", tries=10),
    Wanted("R10-boot", "power on to first analysed picture", "<= 30 s", NEEDS_JETSON),
    Wanted("R11", "memory per 1,000 reconnects, 1 M pictures, 100 k alerts, upper 95 %", "<= 1 MB each"),
    Wanted("R12", "descriptors, threads, shared memory, children, files left after 1,000 faults", "0", tries=1_000),
    Wanted("R13", "outbox's main file over its quota; critical alerts evicted", "<= 1 page; 0"),
    Wanted("R13-with-log", "outbox over its quota, with SQLite's log and index beside it", "<= 1 page"),
    Wanted("R14", "clock jumps x behaviours", "48 of 48", tries=48),
    Wanted("R15", "crashes per 1 M damaged NAL units; alerts from damaged pictures", "0; 0", tries=1_000_000),
    Wanted("R16", "hostile models that escape; time to fall back", "0; <= 5 s", tries=5_060),
    Wanted("R17", "failed updates rolled back; p95", "all of >= 50; <= 60 s", tries=50),
    Wanted("R17-silent", "updates that nobody confirms: until the old one is back", "<= 60 s"),
    Wanted("R18", "damaged outbox: readable rows read; time", "all; <= 2 s", tries=30),
    Wanted("R19", "seconds of false health per fault", "<= 3 s"),
    Wanted("R19-cloud", "a dead device is noticed in the cloud", "<= 45 s", NOTICED_IN_THE_CLOUD),
    Wanted("R20", "seeded chaos: violations", "0"),
    Wanted(
        "R20-flaky",
        "share of tests that fail now and then, over 50 repeats of the suite",
        "<= 1 in 1,000",
        "not measured: 50 times the suite takes most of a day",
    ),
    Wanted("R21", "10,000 detections in a picture: added p99; size of the message", "<= 10 ms; <= 128 KB"),
    Wanted("R22", "faulty implementations that this suite catches", ">= 95 %", tries=40),
)

FAULTS: Final = (
    Wanted("D2", "acknowledged alerts lost in torn and reordered writes", "0 of >= 10,000 crash states", tries=10_000),
    Wanted("D5", "fsync that takes seconds: who waits for the disk", "neither pictures nor receivers"),
    Wanted("D6", "killed or without power amid a save", "the last safe one, or a later one", tries=1_000),
    Wanted("D8", "a second process on one outbox", "refused, with its code"),
    Wanted("N2", "broker stopped with its connections open", "noticed; nothing lost"),
    Wanted("N3", "acknowledgements twice, unknown, late, missing, out of order", "0 lost, 0 twice in the ledger"),
    Wanted("N4", "refusals with a code: nothing deleted that may be taken later", "0 deleted; poison kept apart"),
    Wanted(
        "N5", "kill -9 between sending and acknowledgement: lost or twice in the ledger", "0 in >= 200 kills", tries=200
    ),
    Wanted("N12", "an oversized alert at the head", "never stuck"),
    Wanted("N13", "another client with the same MQTT identifier", "no storm of connections; 0 lost; told"),
    Wanted("N15", "forged, malformed, huge and old messages about documents and jobs", "never applied; nothing ends"),
    Wanted("P2", "first process of a component stopped", "pictures go on; no alert lost or doubled"),
    Wanted("P3", "slow and half-open webhook", "others unaffected"),
    Wanted("P4", "where memory is short: processes that go after the writer of the outbox", "0"),
    Wanted("P5", "no descriptors or processes left for a running component", "<= 20 % of a processor; back by itself"),
    Wanted("P6", "everything on one core beside four busy programs", "no false alarm; nothing lost; age bounded"),
    Wanted("P7", "too little shared memory for pictures", "said with a number; no SIGBUS"),
    Wanted("P8", "disk full, read-only, no inodes left", "delivered meanwhile; nothing lost"),
    Wanted("P9", "standard error that nobody reads", "pictures go on"),
    Wanted("P10", "standard streams closed, other locales and time zones, no home", "starts"),
    Wanted("P11", "processes that abort with passwords in memory", "0 cores"),
    Wanted("U3", "killed or without power amid an update of the runtime", "old or new, never neither"),
    Wanted("T2", "every process stopped for a minute", "one gap told; no alert lost or doubled"),
)

CAMERAS: Final = (
    Wanted("C4", "a refused password: tries in 30 s", "<= 1; a new secret within 5 s"),
    Wanted("C5", "cable pulled, then back", "noticed in 2 s, back in 1 s"),
    Wanted("C6", "loss of packets, a slow link, long ways", "no restart loop; age bounded"),
    Wanted("C7", "size changes mid-stream", "zones stay right; told"),
    Wanted("C8", "codec, rate, B pictures or group length change", "<= 1 s and a group"),
    Wanted("C9", "damaged NAL units", "0 crashes; 0 alerts", "see R15"),
    Wanted("C10", "garbage, endless headers and descriptions, a byte a second", "given up <= 5 s; <= 8 MB"),
    Wanted("C11", "time stamps that jump, wrap, are zero", "no negative durations"),
    Wanted("C12", "key pictures missing; parameter sets in one place only", "said within 2 groups; nothing grey"),
    Wanted("C13", "frozen or black picture", "told <= 30 s"),
    Wanted("C14", "redirected to an inner address", "refused", "see X7"),
    Wanted("C15", "a camera that accepts one session", "never two"),
    Wanted("C16", "connections that come and go", "nothing left", tries=200),
    Wanted("C16-memory", "memory kept of each connection that came and went, upper 95 %", "<= 1 kB"),
    Wanted("C16-told", "messages that a camera flaps", "1", "none: its state changes, and counts, each time"),
    Wanted("C17", "UDP that does not get through", "TCP <= 3 s"),
    Wanted("C18", "a camera's wrong clock", "the device's time is used"),
    Wanted("C19", "eight cameras restart at once", "back <= 2 s, p95"),
)

SECURITY: Final = (
    Wanted("X1", "cdk-nag: errors, suppressions without a reason", "0, 0"),
    Wanted("X1-suppressions", "findings of cdk-nag that are explained instead of mended", "<= 5"),
    Wanted("X1-nist", "cdk-nag's NIST 800-53 R5 pack: errors", "0", "not run"),
    Wanted("X2", "statements with any action, with any resource", "0, <= 3 listed"),
    Wanted("X3", "allows across devices in the matrix of policies", "0", tries=2_000),
    Wanted("X4", "secrets found where they must not be", "0", tries=40),
    Wanted("X5", "pixels that leave; bytes above the budget", "0; 0"),
    Wanted("X6", "cells of routes and roles", "all", NOTHING_LISTENS),
    Wanted("X7", "requests to inner addresses", "0", tries=120),
    Wanted("X8", "archives that escape; peak memory", "0; <= 16 MB", tries=60),
    Wanted("X9", "ONNX files that escape", "0"),
    Wanted("X10", "flipped bits of installed files that pass", "0 of >= 1,000", tries=1_000),
    Wanted("X11", "crashes of parsers under random input", "0 of >= 1,000,000 each"),
    Wanted("X12", "locked without a digest, naming a registry, or missing in the bill of materials", "0; 0; 0"),
    Wanted("X12-known", "known weaknesses of locked dependencies", "0"),
    Wanted("X13", "bytes that differ between two builds", "0"),
    Wanted("X14", "walls around custom code: forbidden acts stopped", "all"),
    Wanted("X14-filter", "own processes without no_new_privs or a filter of system calls", "0"),
    Wanted("X15", "sockets that listen", "0"),
    Wanted(
        "X15-firewall",
        "cells of the firewall matrix",
        "40 of 40",
        f"{NOT_MEASURED}: no rules for a firewall are shipped",
    ),
    Wanted("X16", "certificates for those who must have none", "0"),
    Wanted("X17", "bad certificates accepted", "0", tries=12),
    Wanted("X18", "faces found after covering", "<= 1 %"),
    Wanted("X19", "requirements of published catalogues with a test", ">= 90 % of level 1, >= 70 % of level 2"),
    Wanted("X20", "findings of a code scanner without a reason; dangerous calls", "0; 0"),
    Wanted("X21", "controls of the stacks whose removal is caught", ">= 95 %"),
    Wanted("S24", "log-in limits of an interface", "all", NOTHING_LISTENS),
    Wanted("S25", "roles of an interface", "all", NOTHING_LISTENS),
    Wanted("S26", "sessions of an interface", "all", NOTHING_LISTENS),
    Wanted("S28", "strings that reach another topic than their own", "0 of >= 10,000", tries=10_000),
    Wanted("S-boot", "disk encryption, secure boot, fuses", "on", NEEDS_JETSON),
)

ALL: Final = (*RELIABILITY, *FAULTS, *CAMERAS, *SECURITY)
