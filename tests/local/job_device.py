"""A device with what the agent has around it: a state directory, the real helper, a boot that changes, a key."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.local.fake_machine import FakeMachine, machine
from vedette.adapters.state.layout import StateLayout
from vedette.contracts.device_job import UpdateJob, update_statement


class SigningKey:
    """A stage's key of updates."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        self.public = self._key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()

    def sign(self, kind: str, version: str, sha256: str) -> str:
        """As ``vedette device update`` does."""
        statement = update_statement(kind, version, sha256)
        return base64.b64encode(self._key.sign(statement, ec.ECDSA(hashes.SHA256()))).decode()


def runtime(mark: str, script: str = "exit 0") -> bytes:
    """An archive with a ``bin/python3`` that answers and a mark in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in (("bin/python3", f"#!/bin/sh\n{script}\n"), ("mark", mark)):
            data = content.encode()
            entry = tarfile.TarInfo(f"python/{name}")
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


class JobDevice:
    """One device.

    Args:
        folder: everything is below it.
    """

    def __init__(self, folder: Path) -> None:
        self.key = SigningKey()
        self.machine: FakeMachine = machine(folder, update_key=self.key.public)
        self.root = self.machine.root
        for path in ("var/lib/vedette/agent/ask", "etc/vedette"):
            (self.root / path).mkdir(parents=True, exist_ok=True)
        self.machine.write("etc/vedette/update.pub", self.key.public)
        self.machine.write("etc/vedette/bundle.json", (self.machine.bundle / "bundle.json").read_text())
        self.machine.write("boot_id", "boot-1\n")
        self.put_runtime("first")
        self._stop = threading.Event()
        self._systemd: threading.Thread | None = None

    @property
    def state(self) -> Path:
        """State directory of the components."""
        return self.root / "var/lib/vedette"

    def configuration(self) -> dict[str, Any]:
        """Of the component."""
        helper, boot = self.root / "var/lib/vedette-helper", self.root / "boot_id"
        return {"stateDirectory": str(self.state), "helperDirectory": str(helper), "bootIdFile": str(boot)}

    def boot(self, name: str) -> None:
        """The machine was restarted."""
        self.machine.write("boot_id", f"{name}\n")

    def put_runtime(self, mark: str) -> None:
        """The runtime that is there from the beginning."""
        self.machine.write("opt/vedette/python/old/mark", mark)
        os.symlink("old", self.root / "opt/vedette/python/current")

    @property
    def runs(self) -> str:
        """Mark of the runtime that is in force."""
        return (self.root / "opt/vedette/python/current/mark").read_text()

    def helped(self) -> bool:
        """Run the helper where there is a request, as systemd would; whether there was one."""
        if not (self.state / "agent/ask/request").exists():
            return False
        done = self.machine.helper()
        assert done.returncode == 0, done.stderr
        return True

    def tick(self) -> subprocess.CompletedProcess[str]:
        """A minute has passed for the helper."""
        return self.machine.helper("tick")

    def start_systemd(self) -> None:
        """Run the helper whenever there is a request, until ``stop_systemd``."""

        def watch() -> None:
            while not self._stop.wait(0.05):
                self.helped()

        self._systemd = threading.Thread(target=watch, daemon=True)
        self._systemd.start()

    def stop_systemd(self) -> None:
        """No more."""
        self._stop.set()
        if self._systemd is not None:
            self._systemd.join(30)

    def status(self, component: str, **said: Any) -> None:
        """A component's status file."""
        folder = StateLayout(self.state).component_status
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{component}.json").write_text(json.dumps(said))

    def update(
        self, package: bytes, *, version: str = "3.11.9", probation_s: int = 10, **changes: Any
    ) -> dict[str, Any]:
        """The document of a job that updates the runtime."""
        sha256 = hashlib.sha256(package).hexdigest()
        job = UpdateJob(
            operation="update-runtime",
            version=version,
            region="us-east-1",
            bucket="artefacts",
            key=f"updates/{sha256}",
            size=len(package),
            sha256=sha256,
            signature=self.key.sign("runtime", version, sha256),
            probation_s=probation_s,
        )
        return job.model_dump(mode="json") | changes
