"""One file that says how a device is: states, plan, figures, last log lines. No pictures, addresses or credentials."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import platform
import subprocess
import sys
import tarfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vedette import __version__
from vedette.adapters.machine import machine_health
from vedette.adapters.state.files import read_bounded, read_component_status
from vedette.adapters.state.layout import StateLayout
from vedette.contracts.errors import StorageError
from vedette.contracts.health import AlertingHealth
from vedette.core.device_health import device_health
from vedette.core.redact import redact
from vedette.core.scrub import scrub

#: Of each log the last bytes, of at most so many logs; the whole bundle is never larger.
MAX_LOG_BYTES: Final = 64 << 10
MAX_LOGS: Final = 16
MAX_BUNDLE_BYTES: Final = 1 << 20
#: Lines that a process keeps of its own log, for where logs cannot be read.
_RECENT: Final = 500
_JOURNAL_S: Final = 5.0
_MAX_FILE: Final = 4 << 20


class RecentLines(logging.Handler):
    """Keeps the last lines of this process' log in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._lines: deque[str] = deque(maxlen=_RECENT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            self._lines.append(self.format(record)[:2_000])
        except (TypeError, ValueError):  # arguments that do not fit the format
            self._lines.append(str(record.msg)[:2_000])

    def text(self) -> str:
        """All of them."""
        return "".join(f"{line}\n" for line in list(self._lines))


@dataclass
class _Bundle:
    """Files of a bundle and what is missing in it."""

    secrets: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add_json(self, name: str, value: Any) -> None:
        self.files[name] = json.dumps(scrub(value, self.secrets), indent=1, default=str).encode()

    def add_log(self, name: str, text: str) -> None:
        self.files[f"logs/{name}"] = redact(text, self.secrets).encode()[-MAX_LOG_BYTES:]

    def packed(self) -> bytes:
        """A tar.gz of at most ``MAX_BUNDLE_BYTES``; the longest logs give way."""
        while True:
            self.files["missing.txt"] = "".join(f"{line}\n" for line in self.missing).encode()
            body = _packed(self.files)
            logs = [name for name in self.files if name.startswith("logs/")]
            if len(body) <= MAX_BUNDLE_BYTES or not logs:
                return body
            longest = max(logs, key=lambda name: len(self.files[name]))
            del self.files[longest]
            self.missing.append(f"{longest}: there was no room")


def diagnostics_bundle(
    directory: Path,
    device: str,
    *,
    secrets: tuple[str, ...] = (),
    recent: Mapping[str, str] | None = None,
    logs: Path | None = None,
    about: Mapping[str, Any] | None = None,
    journal: Callable[[str], str] | None = None,
) -> bytes:
    """How a device is, as a tar.gz.

    Args:
        directory: the state directory.
        device: its name.
        secrets: values that must not be in it; those remembered on the device are added.
        recent: process → its last lines.
        logs: folder of the components' logs.
        about: more to be said of the request.
        journal: component → its lines in the system's journal; raises OSError.
    """
    layout = StateLayout(directory)
    bundle = _Bundle((*secrets, *_remembered(layout.secrets)))
    statuses = read_component_status(directory)
    bundle.add_json("about.json", {**_about(device), **(about or {})})
    for component, status in statuses.items():
        bundle.add_json(f"status/{component}.json", status)
    _add_health(bundle, statuses, directory)
    for name, path in (("plan.json", layout.plan), ("document.json", layout.document)):
        _add_file(bundle, name, path)
    bundle.add_json("storage.json", {"files": _sizes(directory), **_plain(machine_health(directory))})
    for process, text in (recent or {}).items():
        bundle.add_log(f"{process}.recent.log", text)
    _add_logs(bundle, logs, sorted(statuses), journal or _journal)
    return bundle.packed()


def _about(device: str) -> dict[str, Any]:
    return {
        "device": device,
        "made_at": datetime.now(UTC).isoformat(),
        "vedette": __version__,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "machine": platform.machine(),
        "nucleus": os.environ.get("GGC_VERSION", ""),
        "up_s": round(time.clock_gettime(time.CLOCK_BOOTTIME)),
        "processors": os.cpu_count(),
    }


def _add_health(bundle: _Bundle, statuses: Mapping[str, Mapping[str, Any]], directory: Path) -> None:
    """The message that goes to the account each minute."""
    known = AlertingHealth.model_fields
    told = {key: value for key, value in statuses.get("vedette.Alerting", {}).items() if key in known}
    try:
        alerting = AlertingHealth.model_validate(told)
    except ValidationError:
        bundle.missing.append("health.json: vedette.Alerting has told nothing")
        return
    health = device_health(
        alerting, statuses, version=__version__, now_s=time.time(), machine=machine_health(directory)
    )
    bundle.add_json("health.json", health.model_dump(mode="json"))


def _add_file(bundle: _Bundle, name: str, path: Path) -> None:
    try:
        content = read_bounded(path, _MAX_FILE)
        if content is None:
            bundle.missing.append(f"{name}: there is none")
            return
        bundle.add_json(name, json.loads(content))
    except (StorageError, ValueError, RecursionError) as error:
        bundle.missing.append(f"{name}: {type(error).__name__}")


def _add_logs(bundle: _Bundle, folder: Path | None, components: list[str], journal: Callable[[str], str]) -> None:
    found = sorted(folder.glob("vedette.*.log"))[:MAX_LOGS] if folder is not None and folder.is_dir() else []
    for path in found:
        try:
            bundle.add_log(path.name, _tail(path))
        except OSError as error:
            bundle.missing.append(f"logs/{path.name}: {error.strerror}")
    for component in components if not found else ():
        try:
            bundle.add_log(f"{component}.log", journal(component))
        except (OSError, subprocess.SubprocessError) as error:
            bundle.missing.append(f"logs/{component}.log: {getattr(error, 'strerror', None) or type(error).__name__}")


def _journal(component: str) -> str:
    """As nucleus lite names the units of components."""
    command = ["journalctl", "-u", f"ggl.{component}.service", "-n", "500", "--no-pager", "-q", "-o", "short-iso"]
    done = subprocess.run(command, capture_output=True, timeout=_JOURNAL_S, check=True)
    return done.stdout[-MAX_LOG_BYTES:].decode(errors="replace")


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_LOG_BYTES))
        text = file.read(MAX_LOG_BYTES).decode(errors="replace")
    return text if size <= MAX_LOG_BYTES else text.partition("\n")[2]  # a line cut in two may hide a password's name


def _sizes(directory: Path) -> dict[str, int]:
    """Bytes of each file at the top, and of each folder with all that is in it."""
    found: dict[str, int] = {}
    for path in sorted(directory.glob("*"))[:200]:
        try:
            files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
            found[path.name] = sum(each.stat().st_size for each in files)
        except OSError:
            continue
    return found


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.model_dump(mode="json") if hasattr(value, "model_dump") else value for name, value in values.items()
    }


def _remembered(folder: Path) -> list[str]:
    """Every secret value on this disk, so that none leaves it."""
    found: list[str] = []
    for path in folder.glob("*.json"):
        try:
            pairs = json.loads(path.read_bytes()[: 64 << 10])
            found += [str(value) for value in pairs.values()]
        except (OSError, ValueError, AttributeError):
            continue
    return found


def _packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
