"""The installer of a bundle on machines that are folders: looks first, goes on where it broke off, leaves no secret."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
import tarfile
import zipfile
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.local.fake_machine import TOKEN, FakeMachine, machine

SYSTEMS = {
    "# R32 (release), REVISION: 7.4, GCID: 33514132, BOARD: t186ref, EABI: aarch64, DATE: x\n": ("warn", "JetPack 4"),
    "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: x\n": ("ok", "JetPack 5"),
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: x\n": ("ok", "JetPack 6"),
    "# R38 (release), REVISION: 2.0, GCID: 1, BOARD: generic, EABI: aarch64, DATE: x\n": ("ok", "JetPack 7"),
    "# R99 (release), REVISION: 1.0, GCID: 1, BOARD: generic, EABI: aarch64, DATE: x\n": ("warn", "L4T 99.1.0"),
}


@pytest.fixture
def lite(tmp_path: Path) -> FakeMachine:
    return machine(tmp_path)


def package(folder: Path) -> Path:
    made = folder / "nucleus.zip"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("aws-greengrass-lite-2.6.0-Linux.deb", "deb")
    return made


def classic_packages(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "classic.zip", "w") as archive:
        archive.writestr("lib/Greengrass.jar", "jar")
    (folder / "claim.jar").write_text("jar")
    return ["--nucleus-package", str(folder / "classic.zip"), "--plugin-package", str(folder / "claim.jar")]


def secrets_left(one: FakeMachine) -> list[str]:
    """Files of the machine and the bundle that hold the token or the claim's key."""
    found = []
    for top in (one.root, one.bundle):
        for path in top.rglob("*"):
            if path.is_file() and path.name not in {"token-seen", "fake"}:
                content = path.read_bytes()
                if TOKEN.encode() in content or b"RSA PRIVATE KEY" in content:
                    found.append(str(path))
    return found


def test_a_check_changes_nothing_and_finds_everything(lite: FakeMachine, tmp_path: Path) -> None:
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    done = lite.run("--check", "--nucleus-package", str(package(tmp_path)))
    (tmp_path / "nucleus.zip").unlink()
    assert (done.returncode, done.stderr) == (0, "")
    assert "This machine can become SN-7." in done.stdout
    (lite.root / "calls").unlink()
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("release", SYSTEMS)
def test_it_knows_a_jetson_by_its_l4t_release(lite: FakeMachine, release: str) -> None:
    state, said = SYSTEMS[release]
    lite.write("etc/nv_tegra_release", release)
    lite.write("etc/nv_boot_control.conf", "TNSPEC 3767-300-0005-P.1-1-1-jetson-orin-nano-devkit-\nTEGRA_CHIPID 0x23\n")
    found = lite.checks()["system"]
    assert found["state"] == state
    assert said in found["found"]
    assert "jetson-orin-nano" in found["found"]


def test_it_names_the_jetpack_package_and_a_system_that_is_no_jetson(lite: FakeMachine) -> None:
    assert lite.checks()["system"]["found"] == "Ubuntu 24.04.1 LTS, no Jetson"
    lite.write("etc/nv_tegra_release", next(text for text in SYSTEMS if "R36" in text))
    status = "Package: aaa\nVersion: 9\n\nPackage: nvidia-jetpack\nStatus: install ok\nVersion: 6.2.1+b38\n\n"
    lite.write("var/lib/dpkg/status", status)
    assert "JetPack 6 (6.2.1+b38)" in lite.checks()["system"]["found"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"FAKE_ARCH": "armv7l"}, "architecture"),
        ({"FAKE_GLIBC": "2.27"}, "glibc"),
        ({"FAKE_GLIBC": ""}, "glibc"),
        ({"FAKE_CLOSED": "8883"}, "account"),
        ({"FAKE_CLOSED": "443"}, "credentials"),
        ({"FAKE_CLOSED": "554"}, "camera"),
    ],
)
def test_what_is_missing_is_named_all_at_once_and_nothing_is_installed(
    lite: FakeMachine, settings: dict[str, str], name: str
) -> None:
    if settings.get("FAKE_GLIBC") == "":
        (lite.tools / "getconf").write_text("#!/bin/sh\nexit 1\n")
    lite.settings = settings
    (lite.root / "run/systemd/system").rmdir()
    said = lite.document("--check", "--camera", "10.0.0.7")
    missing = {one["name"] for one in said["checks"] if one["state"] == "missing"}
    assert not said["ready"]
    assert missing == {name, "systemd"}
    assert all(one["advice"] for one in said["checks"] if one["state"] != "ok")
    assert lite.run("--camera", "10.0.0.7").returncode == 1
    assert not lite.has("etc/vedette")


def test_glibc_versions_are_compared_as_numbers(lite: FakeMachine) -> None:
    for version, state in (("2.4", "missing"), ("2.28", "ok"), ("2.100", "ok"), ("3.0", "ok"), ("1.99", "missing")):
        lite.settings = {"FAKE_GLIBC": version}
        assert lite.checks()["glibc"]["state"] == state, version


def test_protection_of_the_machine_is_reported(lite: FakeMachine) -> None:
    found = lite.checks()
    assert {found[one]["state"] for one in ("secure-boot", "encryption", "upgrades")} == {"warn"}
    assert (found["ssh"]["state"], found["open-ports"]["state"]) == ("ok", "ok")
    lite.settings = {"FAKE_SB": "enabled", "FAKE_CRYPT": "crypt"}
    lite.write("etc/ssh/sshd_config", "# PasswordAuthentication no\nPasswordAuthentication no\n")
    lite.write("etc/apt/apt.conf.d/20auto-upgrades", 'APT::Periodic::Unattended-Upgrade "1";\n')
    head = "  sl  local_address rem_address   st\n"
    lite.write("proc/net/tcp", f"{head}   0: 0100007F:1F90 00000000:0000 0A\n   1: 00000000:0016 00000000:0000 0A\n")
    lite.write("proc/net/tcp6", f"{head}   0: {'0' * 24}01000000:0050 {'0' * 32}:0000 0A\n")
    found = lite.checks()
    assert {found[one]["state"] for one in ("secure-boot", "encryption", "upgrades", "ssh")} == {"ok"}
    assert found["open-ports"]["found"].split() == ["22"]
    lite.write("etc/ssh/sshd_config.d/10-cloud.conf", "PasswordAuthentication yes\n")
    assert lite.checks()["ssh"]["state"] == "warn"
    lite.write("sys/devices/platform/tegra-fuse/odm_production_mode", "0x00000000\n")
    assert lite.checks()["secure-boot"]["state"] == "warn"


def test_a_clock_that_is_off_is_found_before_anything_is_installed(lite: FakeMachine) -> None:
    assert lite.checks()["clock"]["state"] == "ok"
    lite.settings = {"FAKE_NTP": "no"}
    assert lite.checks()["clock"]["state"] == "warn", "there is nobody to ask"
    for told, state in ((format_datetime(datetime.now(UTC)), "warn"), ("Thu, 01 Jan 1970 00:00:00 GMT", "missing")):
        (lite.tools / "curl").write_text(f"#!/bin/sh\nprintf 'HTTP/1.1 403 Forbidden\\r\\nDate: {told}\\r\\n\\r\\n'\n")
        assert lite.checks()["clock"]["state"] == state, told
    assert lite.run("--camera", "10.0.0.7").returncode == 1
    assert not lite.has("etc/vedette")


def test_lite_becomes_the_device_and_keeps_no_secret(lite: FakeMachine, tmp_path: Path) -> None:
    said = lite.document("--nucleus-package", str(package(tmp_path)), "--offline")
    assert said["installed"]
    assert f'"Token": "{TOKEN}"' in lite.text("token-seen")
    assert secrets_left(lite) == []
    assert '"Token": "used"' in lite.text("etc/greengrass/config.yaml")
    assert lite.has("etc/vedette/provisioned")
    for path, mode in (
        ("etc/vedette/claim", 0o700),
        ("var/lib/vedette", 0o750),
        ("var/lib/vedette/agent/ask", 0o750),
        ("usr/lib/vedette/device-helper", 0o755),
        ("var/lib/vedette-helper/nucleus/current", 0o600),
    ):
        assert stat.S_IMODE((lite.root / path).stat().st_mode) == mode, path
    calls = lite.calls()
    assert "systemctl restart greengrass-lite.target" in calls
    assert "systemctl enable --now vedette-device-helper.path" in calls
    assert [one for one in calls if one.startswith("useradd")][-1].endswith("-g gg_component gg_component")


def test_components_of_the_bundle_are_deployed_in_the_rings_name(lite: FakeMachine, tmp_path: Path) -> None:
    arguments = ("--nucleus-package", str(package(tmp_path)), "--offline")
    recipes = lite.bundle / "components" / "recipes"
    recipes.mkdir(parents=True)
    for name in ("vedette.Alerting-0.1.0.yaml", "vedette.app.my-shop-1.2.3-rc.1.yaml"):
        (recipes / name).touch()
    lite.settings = {"FAKE_GGL": "1"}
    assert "components of the bundle are not taken" in lite.run(*arguments).stderr
    lite.settings = {}
    assert lite.run(*arguments).returncode == 0
    call = lite.calls()[-1]
    assert call.startswith("ggl-cli deploy --recipe-dir ")
    assert "--group-name vedette-main-rest " in call
    assert "--add-component vedette.Alerting=0.1.0 --add-component vedette.app.my-shop=1.2.3-rc.1" in call


def test_installing_again_asks_for_no_second_certificate(lite: FakeMachine, tmp_path: Path) -> None:
    arguments = ("--nucleus-package", str(package(tmp_path)), "--offline")
    assert lite.run(*arguments).returncode == 0
    assert lite.run(*arguments).returncode == 0
    assert [one for one in lite.calls() if one.startswith("fleet-provisioning")] == ["fleet-provisioning "]
    assert len([one for one in lite.calls() if one.startswith("dpkg -i")]) == 1


def test_a_claim_that_is_refused_says_so_and_the_next_run_goes_on(lite: FakeMachine, tmp_path: Path) -> None:
    arguments = ("--nucleus-package", str(package(tmp_path)), "--offline")
    lite.settings = {"FAKE_CLAIM": "1"}
    done = lite.run(*arguments)
    assert done.returncode == 1
    assert "the account gave this machine no certificate: Failed to get thing name" in done.stderr
    assert "it broke off at: become the device" in done.stderr
    assert lite.checks()["installation"]["found"] == "broke off at: become the device"
    assert lite.document(*arguments)["installed"] is False
    assert not lite.has("run/vedette-install.lock")
    lite.settings = {}
    assert lite.run(*arguments).returncode == 0
    assert "installation" not in lite.checks()
    assert secrets_left(lite) == []


def test_a_package_that_does_not_install_or_is_another_is_refused(lite: FakeMachine, tmp_path: Path) -> None:
    given = str(package(tmp_path))
    lite.settings = {"FAKE_DPKG": "1"}
    done = lite.run("--nucleus-package", given, "--offline")
    assert done.returncode == 1
    assert "dpkg does not install" in done.stderr
    assert not lite.has("etc/vedette/provisioned")
    assert lite.checks("--nucleus-package", given, "--nucleus-sha256", "0" * 64)["nucleus"]["state"] == "missing"
    assert lite.run("--offline").returncode == 1


def test_two_installers_do_not_work_at_once_and_a_dead_ones_lock_is_taken_over(
    lite: FakeMachine, tmp_path: Path
) -> None:
    arguments = ("--nucleus-package", str(package(tmp_path)), "--offline")
    lite.write("run/vedette-install.lock/pid", f"{os.getpid()}\n")
    done = lite.run(*arguments)
    assert done.returncode == 1
    assert "another installer is at work" in done.stderr
    assert lite.has("run/vedette-install.lock")
    lite.write("run/vedette-install.lock/pid", "0\n")
    assert lite.run(*arguments).returncode == 0


def test_classic_makes_its_own_key_and_keeps_no_secret(tmp_path: Path) -> None:
    classic = machine(tmp_path, "classic")
    arguments = [*classic_packages(tmp_path), "--offline"]
    classic.settings = {"FAKE_JAVA": "8"}
    assert classic.checks(*arguments)["java"]["state"] == "missing"
    classic.settings = {"FAKE_CLAIM": "1"}
    done = classic.run(*arguments, "--wait", "1")
    assert done.returncode == 1
    assert "no certificate within 1 s" in done.stderr
    request = classic.text("etc/vedette/claim/device.csr")
    assert request.startswith("-----BEGIN CERTIFICATE REQUEST-----")
    classic.settings = {}
    assert classic.run(*arguments).returncode == 0
    (call,) = [one for one in classic.calls() if "--trusted-plugin" in one][-1:]
    assert "--component-default-user ggc_user:ggc_group --setup-system-service true" in call
    assert f'"Token": "{TOKEN}"' in classic.text("token-seen")
    assert secrets_left(classic) == []
    assert sorted(path.name for path in (classic.root / "etc/vedette/claim").iterdir()) == ["AmazonRootCA1.pem"]


def test_an_isolated_python_is_taken_only_if_it_is_the_one_that_was_meant(lite: FakeMachine, tmp_path: Path) -> None:
    lite.settings = {"FAKE_PYTHON": "3.10"}
    assert lite.checks()["python"]["found"] == "3.10"
    assert lite.checks()["python"]["state"] == "missing"
    archive = tmp_path / "python.tar.gz"
    program = f'#!/bin/sh\nexec {sys.executable} "$@"\n'.encode()
    with tarfile.open(archive, "w:gz") as packed:
        entry = tarfile.TarInfo("python/bin/python3")
        entry.size, entry.mode = len(program), 0o755
        packed.addfile(entry, io.BytesIO(program))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    given = ("--python-archive", str(archive))
    assert "not given" in lite.checks(*given)["python"]["found"]
    assert lite.checks(*given, "--python-sha256", "0" * 64)["python"]["state"] == "missing"
    Path(f"{archive}.sha256").write_text(f"{digest}  python.tar.gz\n")
    done = lite.run(*given, "--nucleus-package", str(package(tmp_path)), "--offline")
    assert done.returncode == 0, done.stderr
    current = lite.root / "opt/vedette/python/current"
    assert os.readlink(current) == digest[:12]
    assert (current / "bin/python3").is_file()
    assert lite.checks()["python"]["found"].endswith(f"({current}/bin/python3)")


def test_remove_takes_everything_and_keeps_what_was_recorded(lite: FakeMachine, tmp_path: Path) -> None:
    assert lite.run("--nucleus-package", str(package(tmp_path)), "--offline").returncode == 0
    lite.write("var/lib/vedette/journal.db", "recorded")
    assert lite.document("--remove")["removed"]
    for path in ("etc/vedette", "usr/lib/vedette", "var/lib/greengrass", "etc/greengrass", "var/lib/vedette-helper"):
        assert not lite.has(path), path
    assert not list((lite.root / "etc/systemd/system").iterdir())
    assert lite.text("var/lib/vedette/journal.db") == "recorded"
    assert lite.run("--remove", "--purge").returncode == 0
    assert not lite.has("var/lib/vedette")


@pytest.mark.parametrize(
    "arguments", [("--nonsense",), ("--wait",), ("--wait", "soon"), ("--nucleus-package", "/no/such/file")]
)
def test_a_wrong_call_is_explained(lite: FakeMachine, arguments: tuple[str, ...]) -> None:
    done = lite.run(*arguments)
    assert done.returncode == 2
    assert "--help" in done.stderr


def test_a_bundle_without_its_token_is_refused_before_anything_is_claimed(lite: FakeMachine, tmp_path: Path) -> None:
    (lite.bundle / "token").write_text("no token; rm -rf /\n")
    done = lite.run("--nucleus-package", str(package(tmp_path)), "--offline")
    assert done.returncode == 1
    assert "holds no token" in done.stderr
    (lite.bundle / "token").unlink()
    (lite.root / "etc/vedette/claim/token").unlink()
    assert "token is missing in the bundle" in lite.run("--nucleus-package", str(package(tmp_path)), "--offline").stderr
    assert not [one for one in lite.calls() if one.startswith("fleet-provisioning")]
