"""X4: passwords in forty shapes through real faults, and a search of everything that is written, sent or shown."""

from __future__ import annotations

import base64
import gzip
import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from aiosmtpd.smtp import AuthResult

from tests.actions.authority import Authority
from tests.actions.mail_server import MailServer
from tests.actions.receivers import free_port, until
from tests.edge.faults_support import Analysed, Site
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import Watched, running
from tests.faults import scorecard
from tests.faults.scorecard import Anchor, Control, Row, upper95
from tests.faults.security.canaries import Canary, canaries, hits
from vedette.compose.diagnostics import diagnostics_bundle
from vedette.contracts.camera import CameraState
from vedette.contracts.manifest import Action, EmailAction, FileAction, MqttAction, SmsAction, WebhookAction
from vedette.local.core import LocalMessage
from vedette.local.simulated import SimulatedCameras
from vedette.testing.camera import ControlClient

pytestmark = [pytest.mark.processes]

USER: Final = "viewer"
LIMIT_S: Final = 120.0
#: Of the components, below what the edge side writes.
LOGS: Final = Path("core", "logs")
#: Places in which a secret that is put into a log, a packed file and a message has to be found.
PLANTED: Final = frozenset(("vedette.Planted.log", "planted.gz", "messages", "diagnostics"))


class Tattler:
    """An HTTP service that refuses everybody, and repeats in its answer what it was told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                said = self.headers.get("Authorization", "")
                plain = base64.b64decode(said.removeprefix("Basic ")) if said.startswith("Basic ") else b""
                outer.heard.append(plain)
                answer = b"refused: " + said.encode() + b" " + plain + b" " + body
                self.send_response(401, f"not {said}")
                self.send_header("WWW-Authenticate", f'Basic realm="{said}"')
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class TattlingMail(MailServer):
    """Refuses every password, and repeats it."""

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        super()._authenticate(server, session, envelope, mechanism, data)
        word = data.password.decode(errors="replace").encode("ascii", "replace").decode()
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 wrong: {' '.join(word.split())}")


def receiver(number: int, canary: Canary, ports: dict[str, int], authority: Authority) -> tuple[Action, dict[str, str]]:
    """An action that fails, and its secret."""
    name, pair = f"vedette/receiver/r{number}", {"username": USER, "password": canary.secret}
    match number % 4:
        case 0:
            url = f"http://127.0.0.1:{ports['none']}/"
            return WebhookAction(type="webhook", url=url, allow_private=True, secret=name), {"key": canary.secret}
        case 1:
            url = f"http://127.0.0.1:{ports['web']}/"
            sms = {"type": "sms", "gateway": "http", "to": ["+491700000000"], "url": url, "allow_private": True}
            return SmsAction.model_validate({**sms, "body": {"to": "{to}", "text": "{text}"}, "secret": name}), pair
        case 2:
            mail = {"type": "email", "host": "127.0.0.1", "port": ports["mail"], "ca_file": str(authority.file)}
            people = {"sender": "alarm@site.example", "to": ["guard@site.example"]}
            return EmailAction.model_validate({**mail, **people, "secret": name}), pair
        case _:
            return MqttAction(type="mqtt", host="127.0.0.1", port=ports["none"], secret=name), pair


class Told:
    """Every message that the components published."""

    def __init__(self, watched: Watched) -> None:
        self._lock = threading.Lock()
        self._contents: list[bytes] = []
        watched.edge.core.subscribe_local("#", self._hear)
        watched.edge.core.subscribe_cloud("#", self._hear)
        watched.edge.core.subscribe_cloud("$aws/#", self._hear)

    def _hear(self, message: LocalMessage) -> None:
        with self._lock:
            self._contents.append(message.topic.encode() + b" " + message.payload)

    def contents(self) -> list[bytes]:
        with self._lock:
            return list(self._contents)


def sinks(site: Site, told: Told) -> Iterator[tuple[str, bytes]]:
    """(where, what) of everything that is written, sent or shown."""
    for where, text in site.exposed():
        yield where, text.encode()
    for path in site.folder.rglob("*"):  # archives and files that are no text, as they are
        if path.is_file() and path.read_bytes()[:2] == b"\x1f\x8b":
            yield str(path), path.read_bytes()
    yield "messages", b"\n".join(told.contents())

    def journal(_component: str) -> str:
        raise OSError("none here")

    logs = site.folder / LOGS
    yield "diagnostics", diagnostics_bundle(site.folder / "state", "test-device", logs=logs, journal=journal)


def open_stores(folder: Path) -> list[str]:
    """Files that hold secrets on purpose, and that others than their owner can read."""
    found = []
    for path in folder.rglob("*"):
        private = path.name == "secrets.json" or path.parent.name == "secrets"
        if private and path.is_file() and path.stat().st_mode & 0o077:
            found.append(str(path))
    return found


def planted(site: Site, told: Told) -> set[str]:
    """Where the same search finds a word that nobody on the device knows for a secret, so that no log leaves it out."""
    (one,) = canaries(random.Random(scorecard.seed() + 1), 1)
    (site.folder / LOGS / "vedette.Planted.log").write_text(one.secret)
    (site.folder / "planted.gz").write_bytes(gzip.compress(one.secret.encode()))
    site.watched.edge.core.publish_local("planted", one.secret.encode())
    until(lambda: any(one.mark.encode() in content for content in told.contents()), "the message is heard", 10)
    found = {Path(name).name for name, content in sinks(site, told) if hits(content, [one])}
    return found & PLANTED


def control(folder: Path, wanted: list[Canary]) -> int:
    """How many of the secrets are found where each was written once, in one of eight ways."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "store.db")) as store:
        store.execute("CREATE TABLE t (v TEXT)")
        for number, one in enumerate(wanted):
            raw = one.secret.encode()
            ways = [
                raw, quote(one.secret, safe="").encode(), base64.b64encode(b"viewer:" + raw), raw.hex().encode(),
                json.dumps({"password": one.secret}).encode(), gzip.compress(raw), repr(one.secret).encode(), b"",
            ]  # fmt: skip
            written = ways[number % len(ways)]
            if written:
                (folder / f"{number}.log").write_bytes(written)
            else:
                store.execute("INSERT INTO t VALUES (?)", (one.secret,))
        store.commit()
    found: set[str] = set()
    for path in folder.iterdir():
        found |= hits(path.read_bytes(), wanted)
    return len(found)


@contextmanager
def _site(
    folder: Path,
    of_cameras: list[Canary],
    right: Canary,
    actions: dict[str, Action],
    secrets: dict[str, dict[str, str]],
) -> Iterator[tuple[Site, Told, ControlClient]]:
    """A camera whose password is right, and one for each canary: with the wrong password, or where nothing is."""
    recording = clip(folder / "gate.mp4", [(1.0, 2.0)], 3.0)
    password_file = folder / "password"
    password_file.write_text(right.secret)
    names = ("gate", *(f"cam-{number}" for number in range(len(of_cameras))))
    with ExitStack() as stack:
        simulated = stack.enter_context(
            SimulatedCameras(
                {"gate": recording},
                log_file=folder / "simulator.log",
                control=folder / "control.sock",
                user=USER,
                password_file=password_file,
            )
        )
        client = stack.enter_context(ControlClient(folder / "control.sock"))
        address = simulated.urls["gate"].removeprefix("rtsp://")
        urls = {"gate": f"rtsp://{USER}:{quote(right.secret, safe='')}@{address}"}
        nowhere = f"127.0.0.1:{free_port()}/stream"
        for number, one in enumerate(of_cameras):
            place = nowhere if number % 2 else address
            urls[f"cam-{number}"] = f"rtsp://{USER}:{quote(one.secret, safe='')}@{place}"
        enters = {"enters": {"type": "zone_entered", "zone": ZONE}}
        manifest = application("canary", model(folder), names, enters, fps=5).model_copy(update={"actions": actions})
        root, begun_s = folder / "run", time.monotonic()
        watched = stack.enter_context(running(manifest, urls, root, secrets=secrets))
        told = Told(watched)
        analysed = Analysed(root / "state" / "journal.db")
        yield Site(names, {"gate": client}, watched, analysed, root, begun_s), told, client


def test_x4_secrets(short_tmp: Path) -> None:
    begun_s = time.monotonic()
    rng = random.Random(scorecard.seed())
    count = scorecard.size(quick=12, full=40)
    of_cameras, of_receivers = canaries(rng, count), canaries(rng, count)
    (right,) = canaries(rng, 1)
    wanted = [*of_cameras, *of_receivers, right]
    with ExitStack() as stack:
        authority = Authority(short_tmp)
        web = Tattler()
        stack.callback(web.close)
        mail = TattlingMail(authority.server("127.0.0.1"), login=(USER, "another"))
        stack.callback(mail.close)
        ports = {"web": web.port, "mail": mail.port, "none": free_port()}
        actions: dict[str, Action] = {"log": FileAction(type="file")}
        secrets: dict[str, dict[str, str]] = {}
        for number, one in enumerate(of_receivers):
            actions[f"r{number}"], secrets[f"vedette/receiver/r{number}"] = receiver(number, one, ports, authority)
        site, told, simulated = stack.enter_context(_site(short_tmp, of_cameras, right, actions, secrets))
        site.until_status("gate", lambda s: s.state is CameraState.STREAMING, 0.0, LIMIT_S)
        refused = [name for number, name in enumerate(site.names[1:]) if number % 2 == 0]
        for name in refused:
            site.until_status(name, lambda s: s.state is CameraState.UNAUTHORIZED, 0.0, LIMIT_S)
        for name in set(site.names[1:]) - set(refused):
            site.until_status(name, lambda s: s.state is CameraState.UNREACHABLE, 0.0, LIMIT_S)
        until(lambda: len(site.watched.alerts()) > 0, "an alert", 60)
        until(lambda: len({*web.heard}) >= len(of_receivers[1::4]), "every password reached the web service", 60)
        until(lambda: len({*mail.logins}) >= len(of_receivers[2::4]), "every password reached the mail server", 60)
        for kind in ("cut", "garbage"):
            at_s = simulated.call("fault", camera="gate", kind=kind)["t0_s"]
            site.until_status("gate", lambda s: s.state is not CameraState.STREAMING, at_s, 30)
            site.until_status("gate", lambda s: s.state is CameraState.STREAMING, site.clear("gate"), 30)
        found, searched, where = set(), 0, {}
        for name, content in sinks(site, told):
            searched += 1
            marks = hits(content, wanted)
            found |= marks
            if marks:
                where[name] = len(marks)
        readable = open_stores(site.folder)
        states = site.watched.edge.core.states()
        places = planted(site, told)
    shown = control(short_tmp / "control", of_cameras)
    _record(begun_s, wanted, found, where, searched, readable, shown, places, count)
    assert all(state.failures == 0 for state in states.values())


def _record(
    begun_s: float,
    wanted: list[Canary],
    found: set[str],
    where: dict[str, int],
    searched: int,
    readable: list[str],
    shown: int,
    places: set[str],
    count: int,
) -> None:
    value, seen = len(found) + len(readable), shown == count and places == PLANTED
    row = Row(
        "X4",
        "secrets found where they must not be",
        value,
        "secrets",
        len(wanted),
        "0",
        passed=value == 0 and seen,
        upper95=upper95(min(value, len(wanted)), len(wanted)),
        control=Control(f"{count} secrets written down plainly, encoded, packed, in a database, and one in four places of the "
                        "running edge side: found", shown + len(places), seen),
        anchors=(Anchor("Frigate's expression for addresses, 6 shapes", "misses 5", "measured"),),
        seed=scorecard.seed(),
        notes=f"{count} shapes as passwords of cameras (every other refused, every other gone), {count} as secrets of "
        f"webhooks and MQTT that nobody takes and of mail and text message services that refuse and repeat the password "
        f"they were told, one of a camera that is cut off and then talks rubbish. {searched} places searched: files, "
        "databases, logs, states, arguments and environments of processes, messages, the diagnostics bundle; in plain, "
        f"Base64 at any offset, hexadecimal, packed. Found: {where or 'nothing'}; stores others can read: "
        f"{readable or 'none'}.",
    )  # fmt: skip
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (row, places)
