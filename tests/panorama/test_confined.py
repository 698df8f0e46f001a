"""Programs that try what they may not, and programs that do what Panorama's did."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.panorama.confinement import USER, Confined, confined
from tests.panorama.serving import LIMIT_S, MadeUp
from vedette.adapters.hooks.broker import Broker
from vedette.contracts.errors import HookError
from vedette.contracts.manifest import NetworkPeer, PanoramaRoute


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Confined]:
    with confined(tmp_path) as made:
        yield made


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_what_a_program_finds(place: Confined) -> None:
    (place.settings.storage / "kept").write_text("from before")
    said = place.run("""
        import os, sys, numpy, panoramasdk
        print(os.getcwd(), sorted(os.listdir("/panorama")), open("/opt/aws/panorama/storage/kept").read())
        print(os.environ["AppGraph_Uid"][:20], os.environ["AWS_REGION"], os.environ["container"])
        open("/opt/aws/panorama/storage/mine", "w").write("x")
        os.mkfifo("/opt/aws/panorama/logs/pipe")
        open("/tmp/scratch", "w").write("x")
        print(sorted(name for name in sys.modules if name.startswith("vedette")), panoramasdk.__name__)
    """)
    assert said == [
        "/ ['app.py'] from before",
        "applicationInstance- eu-west-1 podman",
        "[] panoramasdk",
    ]
    assert (place.settings.storage / "mine").read_text() == "x"
    assert not Path("/tmp/scratch").exists()
    assert "applicationInstance" in (place.settings.logs / "console_output").read_text()


def test_which_walls_stand_is_told(place: Confined) -> None:
    process = place.start("print(open('/proc/self/status').read())")
    assert process.wait(LIMIT_S)
    assert process.walls.sufficient
    told = set(process.walls.standing)
    assert {"mounts", "network", "processes", "limits", "user", "privileges", "seccomp"} <= told
    process.close()
    if os.geteuid() == 0:  # an ordinary user is not given /proc where this machine hides a part of its own
        assert "Seccomp:\t2" in place.console.text, "a filter is in force"
        assert "NoNewPrivs:\t1" in place.console.text


def test_it_gets_pictures(place: Confined) -> None:
    place.host.feed.give(MadeUp("a", 5))
    said = place.run("""
        import panoramasdk
        one = panoramasdk.node().inputs.video_in.get()[0]
        print(one.image.shape, int(one.image[0, 0, 0]))
    """)
    assert said == ["(8, 16, 3) 5"]


def test_a_script_that_starts_an_older_name_of_python(tmp_path: Path) -> None:
    with confined(tmp_path, entry=("bash", "/panorama/start.sh", "one", "two")) as place:
        (place.settings.code / "start.sh").write_text(
            'echo "args: $*"; for n in 3.7 3.8; do python$n -c "import panoramasdk; print($n)"; done; '
            "exec python3 /panorama/app.py\n"
        )
        assert place.run("print('app')") == ["args: one two", "3.7", "3.8", "app"]


ATTEMPTS = {
    "the passwords of the machine": "open('/etc/shadow')",
    "another folder of the machine": "import os; os.listdir('/home')",
    "the state beside its own folders": "open('{folder}/secret')",
    "a file of its code": "open('/panorama/app.py', 'w')",
    "a file of the system": "open('/usr/bin/new', 'w')",
    "a device": "open('/dev/mem')",
    "a packet socket": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "a raw socket": "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "a namespace": "import ctypes; lib = ctypes.CDLL(None); assert lib.unshare(0x10000000) == 0",
    "a mount": "import ctypes; lib = ctypes.CDLL(None); assert lib.mount(b'x', b'/tmp', b'tmpfs', 0, 0) == 0",
    "tracing its keeper": "import ctypes; lib = ctypes.CDLL(None); assert lib.ptrace(16, 1, 0, 0) == 0",
    "the keeper's memory": "open('/proc/1/mem', 'rb')",
    "being root": "import os; os.setuid(0)",
    "memory that no limit counts": "import mmap; mmap.mmap(-1, 4096, mmap.MAP_SHARED)",
    "memory without a name": "import os; os.memfd_create('x')",
    "a connection outside": "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
    "a name": "import socket; socket.getaddrinfo('example.org', 80)",
    "more memory than it may have": "x = bytearray(1 << 31)",
    "a file that is too large": "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "f = open('/opt/aws/panorama/storage/big', 'wb'); f.truncate(1 << 31)",
}


def attempts_of(folder: Path) -> list[str]:
    """What came of each of ATTEMPTS by a confined program: a line each, ``refused`` or ``DONE``."""
    (folder / "secret").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as outside, confined(folder, memory_mb=512, disk_mb=64) as place:
        port = outside.getsockname()[1]
        lines = [f"{text!r}" for text in ATTEMPTS.values()]
        code = "\n".join(
            [
                "for attempt in [",
                *(f"    {line}," for line in lines),
                "]:",
                "    try:",
                f"        exec(attempt.replace('{{folder}}', {str(folder)!r}).replace('{{port}}', '{port}'))",
                "    except (OSError, MemoryError, AssertionError) as error:",
                "        print('refused', type(error).__name__)",
                "    else:",
                "        print('DONE', attempt)",
            ]
        )
        return place.run(code)


def test_what_it_may_not(tmp_path: Path) -> None:
    said = attempts_of(tmp_path)
    assert [line for line in said if line.startswith("DONE")] == []
    assert len(said) == len(ATTEMPTS)


def test_the_same_attempts_succeed_where_they_are_allowed(tmp_path: Path) -> None:
    """What is refused above is refused by the walls, not because the attempts cannot work."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (tmp_path / "secret").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as outside:
        for name in (
            "the state beside its own folders",
            "a connection outside",
            "memory without a name",
            "a raw socket",
        ):
            text = ATTEMPTS[name].replace("{folder}", str(tmp_path)).replace("{port}", str(outside.getsockname()[1]))
            assert subprocess.run([sys.executable, "-c", text]).returncode == 0, name


def test_it_ends_when_asked(place: Confined) -> None:
    process = place.start("""
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (print("asked"), sys.exit(7)))
        print("up", flush=True)
        while True:
            signal.pause()
    """)
    place.console.until("up")
    process.close()
    assert process.exit_reason() == "it ended with exit code 7"
    assert "asked" in place.console.text


def test_who_does_not_listen_is_ended_with_all_it_started(place: Confined) -> None:
    process = place.start("""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1000)
        print("up", os.getpid(), flush=True)
        while True:
            time.sleep(1000)
    """)
    place.console.until("up")
    inside = _processes_of(USER) if os.geteuid() == 0 else []
    process.close()
    assert process.exit_reason()
    assert not process.alive()
    assert not set(inside) & set(_processes_of(USER))


def _processes_of(user: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            # Those that have ended may wait for somebody to ask how, where this process adopts orphans.
            ended = (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if path.stat().st_uid == user and not ended:
                found.append(int(path.name))
    return found


def test_when_its_keeper_is_killed_it_is_gone(place: Confined) -> None:
    process = place.start("""
        import time
        print("up", flush=True)
        time.sleep(1000)
    """)
    place.console.until("up")
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(LIMIT_S)
    if os.geteuid() == 0:
        while _processes_of(USER):
            pass


def test_how_it_ended_is_said(place: Confined) -> None:
    process = place.start("""
        import os, sys
        print("last words")
        sys.stdout.flush()
        os.abort()
    """)
    assert process.wait(LIMIT_S)
    process.close()
    assert process.exit_reason() == "it was ended by SIGABRT"
    assert place.console.last_lines(1) == "last words"


def test_an_interpreter_below_the_folder_that_is_empty_for_it(tmp_path: Path) -> None:
    if not tmp_path.is_relative_to("/tmp"):
        pytest.skip("temporary folders of this machine are not below /tmp")
    own = tmp_path / "own"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(own)], check=True)
    (own / "lib" / f"python3.{sys.version_info[1]}" / "site-packages" / "of_its_own.py").write_text("here = True\n")
    with confined(tmp_path, python=own / "bin" / "python3") as place:
        assert place.run(
            """
            import os, of_its_own
            open("/tmp/written", "w").close()
            print(of_its_own.here, "written" in os.listdir("/tmp"))
            """
        ) == ["True True"]


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    with confined(tmp_path, python=Path("/bin/false")) as place, pytest.raises(HookError) as caught:
        place.start("")
    assert caught.value.code == "V801"
    assert "/bin/false" in caught.value.message
    assert "--app-python" in caught.value.hint


def test_a_command_that_is_none(tmp_path: Path) -> None:
    with confined(tmp_path, entry=("ruby", "/panorama/app.rb")) as place:
        process = place.start("")
        assert process.wait(LIMIT_S)
        process.close()
        assert process.exit_reason() == "it ended with exit code 127"
        assert "No such file" in place.console.text


SERVER = """
    import http.server
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from inside: " + self.path.encode())
        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 80), Handler)
    print("listening", flush=True)
    server.serve_forever()
"""


def test_a_server_is_reached_through_its_route_only(tmp_path: Path) -> None:
    port = _free_port()
    with confined(tmp_path, routes=(PanoramaRoute(port=80, host_port=port),)) as place:
        process = place.start(SERVER)
        place.console.until("listening")
        assert process.route_problems == {}
        for number in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
            connection.request("GET", f"/{number}")
            assert connection.getresponse().read() == f"from inside: /{number}".encode()
            connection.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 80), 1)


def test_a_port_that_is_taken_is_said_and_ends_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with confined(tmp_path, routes=(PanoramaRoute(port=80, host_port=port),)) as place:
            process = place.start(SERVER)
            place.console.until("listening")
            assert "in use" in process.route_problems[port]
            assert process.alive()


class Site:
    """An HTTP server on this machine that answers everything."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsite")


def test_the_network_is_what_the_manifest_names(tmp_path: Path) -> None:
    site = Site()
    peers = (
        NetworkPeer(host="site.example", port=site.port, allow_private=True),
        NetworkPeer(host="metadata.example", port=80, allow_private=True),
    )
    addresses = {"site.example": ["127.0.0.1"], "metadata.example": ["169.254.169.254"]}

    def resolve(host: str) -> Sequence[str]:
        return addresses[host]

    with confined(tmp_path, network=True) as place:
        place.make_broker = lambda reactor: Broker("test", peers, "", reactor, resolve)
        said = place.run(f"""
            import http.client, os, urllib.error, urllib.request
            print(urllib.request.urlopen("http://site.example:{site.port}/x", timeout=20).read())
            proxy = os.environ["HTTPS_PROXY"].rpartition(":")[2]
            tunnel = http.client.HTTPConnection("127.0.0.1", int(proxy), timeout=20)
            tunnel.set_tunnel("site.example", {site.port})
            tunnel.request("GET", "/")
            print(tunnel.getresponse().read())
            for host in ("elsewhere.example", "metadata.example"):
                try:
                    urllib.request.urlopen(f"http://{{host}}/", timeout=20)
                except urllib.error.HTTPError as error:
                    print(error.code, error.read().decode().strip())
        """)
    site.socket.close()
    assert said[:2] == ["b'site'", "b'site'"]
    assert said[2].startswith("403 V806 connection to elsewhere.example:80 refused")
    assert said[3].startswith("403 V806")
    assert "169.254.169.254" in said[3]
    assert len(said) == 4


def test_without_a_network_there_is_no_proxy(place: Confined) -> None:
    assert place.run("import os; print([name for name in os.environ if 'proxy' in name.lower()])") == ["[]"]


def test_full_folders_can_be_emptied_but_not_filled(tmp_path: Path) -> None:
    with confined(tmp_path, full=True) as place:
        (place.settings.storage / "old").write_text("x" * 100)
        if os.geteuid() == 0:
            os.chown(place.settings.storage / "old", USER, USER)
        said = place.run("""
            import os, signal
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            try:
                os.write(os.open("/opt/aws/panorama/storage/new", os.O_WRONLY | os.O_CREAT), b"x")
            except OSError as error:
                print(error.errno)
            os.remove("/opt/aws/panorama/storage/old")
        """)
        assert said == ["27"]
        assert not (place.settings.storage / "old").exists()


def test_links_in_the_logs_are_not_followed(place: Confined) -> None:
    target = place.folder / "target"
    target.write_text("mine")
    (place.settings.logs / "console_output").symlink_to(target)
    place.run("print('theirs')")
    assert target.read_text() == "mine"
