"""The checks of ``vedette doctor``. Libraries with native code are tried in a process of their own: they may crash."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from vedette import __version__
from vedette.adapters.machine import memory_health
from vedette.adapters.models.store import ModelStore
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.unix_sockets import SOCKET_PATH_LIMIT_BYTES
from vedette.contracts.errors import VedetteError

EDGE: Final = 'pip install "vedette[edge]"'
_CODECS: Final = ("h264", "hevc", "mjpeg")
_OLDEST_PYTHON: Final = (3, 11)
_LEAST_FILES: Final = 1024
_TRIAL_LIMIT_S: Final = 30.0
#: adjtimex(2): the kernel's clock is not disciplined by anyone.
_TIME_ERROR: Final = 5
#: No device has booted with a right clock before this release was made: 2025-01-01.
_EARLIEST_CLOCK_S: Final = 1_735_689_600

State = Literal["ok", "warn", "fail", "optional"]

_TRIALS: Final = {
    "av": f"import av, json; wanted = {list(_CODECS)!r}\n"
    "found = [n for n in wanted if n in av.codecs_available and av.Codec(n, 'r').is_decoder]\n"
    "print(json.dumps({'codecs': found, 'ffmpeg': av.library_versions['libavcodec'][0]}))",
    "onnxruntime": "import onnxruntime as o, json; print(json.dumps({'providers': o.get_available_providers()}))",
    "cv2": "import cv2, json; print(json.dumps({'threads': cv2.getNumThreads()}))",
    "lap": "import lap, json; print(json.dumps({}))",
    "awsiot.greengrasscoreipc.clientv2": "import awsiot.greengrasscoreipc.clientv2, json; print(json.dumps({}))",
}
_DISTRIBUTIONS: Final = {
    "av": "av",
    "onnxruntime": "onnxruntime",
    "cv2": "opencv-python-headless",
    "lap": "lapx",
    "awsiot.greengrasscoreipc.clientv2": "awsiotsdk",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: ``fail`` keeps Vedette from working; ``optional`` is missing and not needed.
        found: what is there.
        advice: what to do; empty where nothing is to be done.
    """

    name: str
    state: State
    found: str
    advice: str = ""

    def document(self) -> dict[str, str]:
        """As JSON."""
        return asdict(self)


def run_checks(state_directory: Path) -> list[Check]:
    """All checks, in the order in which they are shown."""
    parts: tuple[Callable[[], Iterator[Check]], ...] = (
        _python,
        _libraries,
        _machine,
        lambda: _disk(state_directory),
        _clock,
        _kernel,
        lambda: _state_directory(state_directory),
        _models,
        _extras,
    )
    return [check for part in parts for check in part()]


def _python() -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, vedette {__version__}"
    good = sys.version_info >= _OLDEST_PYTHON and platform.system() == "Linux"
    yield Check("Python", "ok" if good else "fail", found, "" if good else "Python 3.11 or later on Linux is needed")


def _libraries() -> Iterator[Check]:
    running = {name: _start_trial(code) for name, code in _TRIALS.items()}
    for name, process in running.items():
        distribution = _DISTRIBUTIONS[name]
        version = _version(distribution) or _version(f"{distribution}-gpu")
        result, trouble = _end_trial(process)
        if result is None:
            missing = version is None
            advice = EDGE if missing else f"{EDGE} --force-reinstall; see what it prints: python -c 'import {name}'"
            yield Check(distribution, "fail", "not installed" if missing else f"{version}: {trouble}", advice)
        elif name == "av":
            lacking = [codec for codec in _CODECS if codec not in result["codecs"]]
            found = f"{version}, libavcodec {result['ffmpeg']}: {', '.join(result['codecs'])}"
            advice = f"this FFmpeg cannot decode {', '.join(lacking)}; use PyAV's own wheel" if lacking else ""
            yield Check("PyAV", "fail" if lacking else "ok", found, advice)
        elif name == "onnxruntime":
            providers = [provider.removesuffix("ExecutionProvider") for provider in result["providers"]]
            good = "CPU" in providers
            yield Check("ONNX Runtime", "ok" if good else "fail", f"{version}: {', '.join(providers)}")
        else:
            yield Check(distribution, "ok", version or "installed")
    for distribution in ("numpy", "pydantic", "PyYAML", "tzdata"):
        version = _version(distribution)
        yield Check(distribution, "ok" if version else "fail", version or "not installed", "" if version else EDGE)


def _start_trial(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def _end_trial(process: subprocess.Popen[str]) -> tuple[dict[str, Any] | None, str]:
    """What the trial printed; else None and why."""
    try:
        output, errors = process.communicate(timeout=_TRIAL_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None, f"no answer within {_TRIAL_LIMIT_S:g} s"
    if process.returncode < 0:
        return None, f"crashes ({signal.Signals(-process.returncode).name})"
    if process.returncode > 0:
        return None, (errors.strip().splitlines() or ["fails"])[-1][:200]
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result, ""


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0))
    yield Check("processor", "ok", f"{cores} {'core' if cores == 1 else 'cores'}, load {os.getloadavg()[0]:.1f}")
    memory = memory_health()
    if memory is not None:
        available = memory.available_bytes
        few = available < 1 << 30
        advice = "four cameras at 1080p take about 0.4 GB; end something else" if few else ""
        yield Check("memory", "warn" if few else "ok", f"{available / 2**30:.1f} GiB available", advice)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft != resource.RLIM_INFINITY and soft < _LEAST_FILES
    yield Check("open files", "warn" if few else "ok", f"{soft} (at most {hard})", "ulimit -n 4096" if few else "")


def _disk(state_directory: Path) -> Iterator[Check]:
    for name, folder in (("disk of the state directory", state_directory), ("disk of the model store", _store())):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        state: State = "fail" if free < 200 << 20 else "warn" if free < 3 << 30 else "ok"
        advice = "" if state == "ok" else "journal and outbox may take 2.5 GiB: free some, or lower their limits"
        yield Check(name, state, f"{free / 2**30:.1f} GiB free at {existing}", advice)


def _store() -> Path:
    return ModelStore.default().directory


def _clock() -> Iterator[Check]:
    now_s = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if now_s < _EARLIEST_CLOCK_S:
        yield Check("clock", "fail", shown, "set the clock: alerts carry its time, and TLS certificates depend on it")
        return
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        result = int(libc.adjtimex(ctypes.create_string_buffer(512)))  # all zero: read only
    except (OSError, AttributeError):
        result = -1
    if result == _TIME_ERROR:
        yield Check("clock", "warn", f"{shown}, not synchronised", "start an NTP client: timedatectl set-ntp true")
    else:
        yield Check("clock", "ok", shown + ("" if result < 0 else ", synchronised"))


def _kernel() -> Iterator[Check]:
    yield _try("shared memory (memfd, sealed)", _memfd, "Linux 3.17 or later is needed; a sandbox may forbid it")
    yield _try("Unix sockets that name their peer", _peer, "a sandbox forbids SOCK_SEQPACKET or SO_PEERCRED")


def _try(name: str, attempt: Callable[[], None], advice: str) -> Check:
    try:
        attempt()
    except (OSError, AttributeError) as error:
        return Check(name, "fail", str(error), advice)
    return Check(name, "ok", "works")


def _memfd() -> None:
    descriptor = os.memfd_create("vedette-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, 1 << 20)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    finally:
        os.close(descriptor)


def _peer() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)


def _state_directory(folder: Path) -> Iterator[Check]:
    length = len(os.fsencode(StateLayout(folder).frames / ("x" * 64 + ".sock")))
    if length > SOCKET_PATH_LIMIT_BYTES:
        short = SOCKET_PATH_LIMIT_BYTES - (length - 64)
        advice = f"shorter than {SOCKET_PATH_LIMIT_BYTES - 88} bytes fits every name"
        yield Check("state directory", "warn", f"camera names of at most {max(0, short)} bytes fit {folder}", advice)
    elif folder.exists() and not os.access(folder, os.W_OK):
        advice = "only the components need to write there; for your own runs take another --state"
        yield Check("state directory", "optional", f"{folder} is not writable for you", advice)
    else:
        yield Check("state directory", "ok", f"{folder}{'' if folder.exists() else ' (made when needed)'}")


def _models() -> Iterator[Check]:
    store = ModelStore.default()
    try:
        names = [entry.name for entry in store.entries()]
        for name in names:
            store.path(name)
    except VedetteError as error:
        yield Check("models", "fail", error.message, error.hint)
        return
    advice = "" if names else "vedette model add yolox_nano"
    yield Check("models", "ok" if names else "warn", ", ".join(names) or "none stored", advice)


def _extras() -> Iterator[Check]:
    broker = shutil.which("mosquitto")
    yield Check(
        "mosquitto", "ok" if broker else "optional", broker or "none", "" if broker else "only for tests and --broker"
    )
    data = os.environ.get("VEDETTE_DATA")
    good = data is not None and (Path(data) / "videos").is_dir()
    found = data if good else f"{data} has no videos/" if data else "VEDETTE_DATA is not set"
    yield Check("footage for demo and tests", "ok" if good else "optional", found or "", "")
    nucleus = Path(os.environ.get("GGC_ROOT_PATH", "/greengrass/v2"))
    there = nucleus.is_dir()
    yield Check("Greengrass", "ok" if there else "optional", str(nucleus) if there else "not on this machine")
