"""X11: readers of what others send, under input changed at random; as many seconds each as VEDETTE_FUZZ_S says."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.faults import scorecard
from tests.faults.memory import peak_bytes
from tests.faults.scorecard import Control, Row, upper95
from tests.hooks.rig import plan as hook_plan
from vedette.adapters.engines.onnxfile import check_graph
from vedette.adapters.frames import messages
from vedette.adapters.hooks import framing
from vedette.adapters.packets.wire import ItemReader
from vedette.contracts.alert import CloudAcknowledgement
from vedette.contracts.device_document import DeviceDocument
from vedette.contracts.errors import VedetteError
from vedette.contracts.plan import Plan
from vedette.core.tar_reader import TarReader
from vedette.core.yaml_reader import read_yaml
from vedette.local.recipe import parse_recipe
from vedette.local.recipe_yaml import load_plain
from vedette.local.wire import FrameDecoder, Message, encode
from vedette.testing import models

#: Inputs of each reader that a full run asks for.
LEAST: Final = 1_000_000
#: Seconds after which one input counts as a hang.
HANG_S: Final = 1.0
#: For a moment, too.
GROWTH_BYTES: Final = 64 << 20
GREW: Final = "memory grew by"


def wire(data: bytes) -> object:
    """Checksums are put right, so that what is behind them is reached."""
    fixed = bytearray(data)
    if len(fixed) >= 16:
        struct.pack_into(">I", fixed, 0, len(fixed))
        struct.pack_into(">I", fixed, 8, zlib.crc32(fixed[:8]))
        struct.pack_into(">I", fixed, len(fixed) - 4, zlib.crc32(fixed[:-4]))
    return FrameDecoder().feed(bytes(fixed))


def tar(data: bytes) -> object:
    reader = TarReader(io.BytesIO(data))
    return [(member, sum(map(len, reader.content()))) for member in reader]


def recipe(data: bytes) -> object:
    return parse_recipe(load_plain(data.decode(errors="replace")))


READERS: Final[dict[str, tuple[Callable[[bytes], object], tuple[type[Exception], ...]]]] = {
    "event stream of Greengrass": (wire, ()),
    "messages about pictures": (messages.decode, ()),
    "messages of hooks": (lambda data: list(framing.Decoder().feed(data)), (framing.FramingError,)),
    "packets of cameras": (lambda data: list(ItemReader().feed(data)), ()),
    "manifest (YAML)": (lambda data: read_yaml(data.decode(errors="replace")), ()),
    "recipe": (recipe, (yaml.YAMLError,)),
    "plan": (Plan.model_validate_json, (ValueError,)),
    "document of a device": (DeviceDocument.model_validate_json, (ValueError,)),
    "acknowledgement of the cloud": (CloudAcknowledgement.model_validate_json, (ValueError,)),
    "model (ONNX)": (lambda data: check_graph(data, "m"), ()),
    "archive (tar)": (tar, (ValueError,)),
}


def seeds(name: str) -> list[bytes]:
    """Good input to begin with."""
    made: dict[str, list[bytes]] = {
        "event stream of Greengrass": [
            encode(Message(0, 1, 7, {"a": "text", "b": 9, "c": b"x", "d": True}, b'{"x": 1}'))
        ],
        "messages about pictures": [
            messages.encode(messages.Ring(1, 4, 3 << 20, 640, 480, "gate")),
            messages.encode(messages.Release(3)),
        ],
        "messages of hooks": [framing.encode({"call": "tracks", "camera": "gate", "values": [1, 2.5, None, "x"]})],
        "packets of cameras": [_packets()],
        "manifest (YAML)": [
            path.read_bytes()[:4_000] for path in sorted((REPOSITORY / "examples").glob("*/*.yaml"))[:4]
        ],
        "recipe": [path.read_bytes() for path in sorted((REPOSITORY / "recipes").glob("*.yaml"))[:2]],
        "plan": [Plan(hooks=(hook_plan(),)).model_dump_json().encode()],
        "document of a device": [b'{"cameras":{"gate":{"url":"rtsp://10.0.0.1/x","max_fps":5}}}'],
        "acknowledgement of the cloud": [b'{"epoch":"abcdefabcdefabcdefabcdefabcdefab","through_seq":17}'],
        "model (ONNX)": [models.bright_rectangle()],
        "archive (tar)": [_archive()],
    }
    return made[name]


def _packets() -> bytes:
    body = json.dumps({"stream": "e", "codec": "h264", "time_base": [1, 90000]}).encode()
    more = json.dumps({"packet": "e", "key": True, "pts": 1, "dts": 1, "arrival_s": 0.5}).encode()
    return struct.pack(">II", len(body), 2) + body + b"xx" + struct.pack(">II", len(more), 3) + more + b"yyy"


def _archive() -> bytes:
    import tarfile

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("a.so", "folder/" * 30 + "ä"):
            info = tarfile.TarInfo(name)
            info.size = 700
            archive.addfile(info, io.BytesIO(bytes(700)))
    return made.getvalue()


def changed(data: bytes, chance: random.Random) -> bytes:
    """A few changes: bits, bytes, numbers, parts taken away, doubled or moved."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(7):
            case 0 if at < len(made):
                made[at] ^= 1 << chance.randrange(8)
            case 1:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 2:
                number = chance.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(made)))
                made[at : at + 4] = number.to_bytes(4, chance.choice(("little", "big")))
            case 3:
                del made[at : at + chance.randrange(1, 64)]
            case 4:
                made[at:at] = made[at : at + chance.randrange(1, 64)] * chance.choice((1, 2, 50))
            case 5:
                made[at:at] = chance.choice(
                    (b"\0", b"\xff", b"[" * 500, b'{"a":' * 200, b"&a *a", b"1e999", b"\xed\xa0\x80", b"-" * 99)
                )
            case _:
                del made[at:]
        if len(made) > 200_000:
            del made[200_000:]
    return bytes(made)


def hunt(
    read: Callable[[bytes], object],
    fine: tuple[type[Exception], ...],
    good: list[bytes],
    chance: random.Random,
    seconds: float,
) -> tuple[int, dict[str, bytes]]:
    """(inputs tried, what went wrong → the first input that showed it)."""
    tried, wrong = 0, dict[str, bytes]()
    peak_bytes()
    before, end_s = peak_bytes(), time.monotonic() + seconds
    while time.monotonic() < end_s:
        data = changed(chance.choice(good), chance)
        tried += 1
        begun_s = time.thread_time()  # this thread's own time: others on the machine do not make it a hang
        try:
            read(data)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            if not isinstance(error, (VedetteError, *fine)):
                wrong.setdefault(f"{type(error).__name__}: {error}"[:120], data)
        if time.thread_time() - begun_s > HANG_S:
            wrong.setdefault("hang", data)
    if (grown := peak_bytes() - before) > GROWTH_BYTES:
        wrong[f"{GREW} {grown >> 20} MB"] = b""
    return tried, wrong


def naive(data: bytes) -> object:
    """The control: a reader that believes what it reads, and makes room for it."""
    (size,) = struct.unpack_from(">I", data)
    room = bytearray(b"x") * min(size, 2 * GROWTH_BYTES)
    return json.loads(data[4 : 4 + size])["x"], room


def judged(
    counts: Mapping[str, int], found: Mapping[str, Mapping[str, bytes]], control: Mapping[str, bytes], seconds: float
) -> Row:
    """The row.

    Args:
        counts: reader → inputs.
        found: reader → what went wrong → the input.
        control: the same of the careless reader.
        seconds: that each reader was given.
    """
    seen = len(control) > 1 and any(what.startswith(GREW) for what in control)
    n, crashes = sum(counts.values()), sum(map(len, found.values()))
    fewer = [name for name, count in counts.items() if count < LEAST]
    return Row(
        "X11",
        "crashes, hangs and growth of readers under changed input",
        crashes,
        "kinds",
        n,
        f"0 of >= {LEAST:,} each",
        passed=crashes == 0 and seen and not (fewer and scorecard.profile() == "full"),
        upper95=upper95(min(crashes, n), n),
        control=Control("a reader that believes what it reads: kinds of crash, and growth", len(control), seen),
        seed=scorecard.seed(),
        notes=f"{seconds:g} s each (VEDETTE_FUZZ_S): "
        + ", ".join(f"{name} {count:,}" for name, count in counts.items())
        + f". Fewer than {LEAST:,}: {', '.join(fewer) or 'none'}. Found: { {name: list(wrong) for name, wrong in found.items()} or 'nothing' }.",
    )


@pytest.mark.timeout(len(READERS) * 700)
def test_x11_parsers() -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    seconds = float(os.environ.get("VEDETTE_FUZZ_S", scorecard.size(quick=1, full=60)))
    counts, found = {}, dict[str, dict[str, bytes]]()
    for name, (read, fine) in READERS.items():
        for one in seeds(name):
            read(one)  # what the changes begin with is good
        counts[name], wrong = hunt(read, fine, seeds(name), random.Random(f"{seed}{name}"), seconds)
        if wrong:
            found[name] = wrong
            print(name, {what: data[:200] for what, data in wrong.items()})
    _, control = hunt(naive, (), [struct.pack(">I", 8) + b'{"x": 1}'], random.Random(seed), 1.0)
    row = judged(counts, found, control, seconds)
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
