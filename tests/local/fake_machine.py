"""A machine to install on: a root folder with its system files, and the commands that an installer calls."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vedette.adapters.bundle_writer import write_bundle
from vedette.contracts.device import DeviceRecord
from vedette.contracts.device_bundle import BundleManifest, Endpoints, Nucleus
from vedette.core.fleet.bundle import Ingredients, bundle_files, console_page
from vedette.local.bundle_sources import installer_files

TOKEN = "t0ken_-of-this-device"
CLAIM_KEY = "-----BEGIN RSA PRIVATE KEY-----\nclaim\n"
#: Each writes down how it was called. What the fakes of provisioning find, they leave as the real programs do.
COMMANDS = {
    "python3": 'case "$2" in *print*) echo "${FAKE_PYTHON:-3.12}" ;; esac',
    "uname": 'echo "${FAKE_ARCH:-aarch64}"',
    "getconf": 'echo "glibc ${FAKE_GLIBC:-2.35}"',
    "timedatectl": 'echo "${FAKE_NTP:-yes}"',
    "nc": 'case " ${FAKE_CLOSED:-none} " in *" $5 "*) exit 1 ;; esac',
    "systemctl": 'exit "${FAKE_SYSTEMCTL:-0}"',
    "getent": "exit 2",
    "groupadd": "",
    "useradd": "",
    "lsblk": 'printf "disk\\n${FAKE_CRYPT:-part}\\n"',
    "mokutil": 'echo "SecureBoot ${FAKE_SB:-disabled}"',
    "dpkg": '[ "$1" != -i ] || [ "${FAKE_DPKG:-0}" = 0 ] || { echo "dpkg: error processing"; exit 1; }\n'
    'mkdir -p "$FAKE_ROOT/usr/lib/systemd/system"; : >"$FAKE_ROOT/usr/lib/systemd/system/greengrass-lite.target"',
    "fleet-provisioning": 'grep Token "$FAKE_ROOT/etc/greengrass/config.yaml" >"$FAKE_ROOT/token-seen"\n'
    '[ "${FAKE_CLAIM:-0}" = 0 ] || { echo "Failed to get thing name from response"; exit 1; }',
    "java": 'if [ "$1" = -version ]; then echo "openjdk version \\"${FAKE_JAVA:-17}.0.1\\"" >&2; exit 0; fi\n'
    'mkdir -p "$FAKE_ROOT/greengrass/v2/config"\n'
    'grep Token "$FAKE_ROOT/etc/vedette/claim/config.yaml" >"$FAKE_ROOT/token-seen"\n'
    '[ "${FAKE_CLAIM:-0}" = 0 ] || exit 0\n'
    'for f in thingCert.crt privKey.key config/effectiveConfig.yaml; do echo x >"$FAKE_ROOT/greengrass/v2/$f"; done',
    "ggl-cli": 'exit "${FAKE_GGL:-0}"',
    "curl": "exit 7",
}


@dataclass
class FakeMachine:
    """One machine with a bundle on it.

    Attributes:
        root: stands for ``/``.
        bundle: folder.
        settings: environment of the fakes.
    """

    root: Path
    bundle: Path
    tools: Path
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, program: str = "install.sh") -> subprocess.CompletedProcess[str]:
        """Run the installer."""
        command = ["sh", str(self.bundle / program), *arguments]
        if program == "install.sh":
            command += ["--root", str(self.root)]
        environment = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "FAKE_ROOT": str(self.root),
            "VEDETTE_ROOT": str(self.root),
            **self.settings,
        }
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)

    def helper(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the helper, as systemd would."""
        return self.run(*arguments, program="device-helper.sh")

    def document(self, *arguments: str) -> dict[str, Any]:
        """What it says with ``--json``."""
        done = self.run(*arguments, "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def checks(self, *arguments: str) -> dict[str, dict[str, str]]:
        """The checks by name."""
        return {one["name"]: one for one in self.document("--check", *arguments)["checks"]}

    def calls(self) -> list[str]:
        """Commands so far, with their arguments."""
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def write(self, path: str, text: str) -> None:
        """A file of the machine."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def text(self, path: str) -> str:
        """A file of the machine."""
        return (self.root / path.lstrip("/")).read_text()

    def has(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        return (self.root / path.lstrip("/")).exists()


def machine(folder: Path, nucleus: str = "lite", update_key: str = "-----BEGIN PUBLIC KEY-----\n") -> FakeMachine:
    """A machine on which an installation would succeed."""
    made = FakeMachine(folder / "root", folder / "SN-7", folder / "tools")
    made.tools.mkdir(parents=True)
    for name, script in COMMANDS.items():
        program = made.tools / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"$FAKE_ROOT/calls"\n{script}\n')
        program.chmod(0o755)
    for path in ("run/systemd/system", "etc", "proc/net"):
        (made.root / path).mkdir(parents=True)
    made.write("etc/os-release", 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.1 LTS"\n')
    made.write("proc/uptime", "86400.10 1.0\n")
    write_bundle(made.bundle, "SN-7", bundle_files(ingredients(nucleus, update_key)))
    return made


def ingredients(nucleus: str, update_key: str) -> Ingredients:
    """What the bundle of these tests is made of."""
    manifest = BundleManifest(
        device=DeviceRecord(thing="SN-7", serial="SN.7"),
        stage="prod",
        region="eu-central-1",
        nucleus=Nucleus(nucleus),
        template="vedette-prod-claim",
        role_alias="vedette-prod-device",
        endpoints=Endpoints(data="data.iot.example.org", credentials="credentials.iot.example.org"),
        token_expires=datetime(2026, 11, 28, tzinfo=UTC),
        console=console_page("eu-central-1", "SN-7"),
    )
    return Ingredients(
        manifest=manifest,
        token=TOKEN,
        claim_certificate="-----BEGIN CERTIFICATE-----\nclaim\n",
        claim_key=CLAIM_KEY,
        update_key=update_key,
        label=b"png",
        code=b"png",
        installer=installer_files(),
        components={},
    )
