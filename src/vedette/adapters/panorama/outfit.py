"""What an application's program finds when it runs: files at the paths it was written for, environment, interpreter."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import panoramasdk
from vedette.adapters.confinement.namespaces import SYSTEM, Placed, outermost
from vedette.contracts.errors import HookError
from vedette.contracts.manifest import PanoramaRoute
from vedette.contracts.manifest.panorama import CODE_FOLDER

STORAGE: Final = "/opt/aws/panorama/storage"
LOGS: Final = "/opt/aws/panorama/logs"
_OURS: Final = "/opt/vedette"
_SOCKET: Final = f"{_OURS}/host.sock"
#: Programs of the system that scripts use.
_PROGRAMS: Final = ("/bin", "/usr/bin", "/etc/alternatives", "/usr/share/terminfo", "/lib/terminfo")
#: Names by which descriptors and scripts call Python.
_NAMES: Final = ("python", "python3", *(f"python3.{minor}" for minor in range(6, 15)))
_ASK_LIMIT_S: Final = 20.0
_MB: Final = 1 << 20
#: What the interpreter itself needs, beyond which an application's memory counts.
_INTERPRETER_BYTES: Final = 256 * _MB
#: Namespace of the numbers by which code tells one application instance from another.
_INSTANCES: Final = uuid.UUID("6e2f3c36-7a0e-4b2b-9f0c-5b1e6f0a8f11")
_ASK: Final = (
    "import json, sys, sysconfig;"
    "names = ('stdlib', 'platstdlib', 'purelib', 'platlib');"
    "paths = [p for p in sys.path if p] + [sysconfig.get_path(name) for name in names]"
    "+ [p + '/lib' for p in (sys.prefix, sys.base_prefix)] + [sys.prefix + '/pyvenv.cfg', sys.executable];"
    "print(json.dumps({'paths': paths, 'version': sys.version_info[:2]}))"
)


@dataclass(frozen=True, slots=True)
class PanoramaSettings:
    """How an application's program is run.

    Attributes:
        application: its name.
        code: folder that it sees as ``/panorama``.
        entry: command, file and arguments.
        python: interpreter that every name of Python leads to.
        socket: of the host.
        storage: folder that it may keep files in.
        logs: folder that it may log to.
        run: folder for what is made at each start.
        user: number of the user it becomes where this process is root's.
        memory_mb: memory of each of its processes.
        disk_mb: room for a file; of the folders together the host keeps watch.
        environment: of the manifest.
        routes: ports that are reached from outside.
        network: whether there is a proxy.
        device: name of the device.
        region: of the account; empty where there is none.
        trust: whether it runs where it cannot be confined.
        full: whether its folders hold all they may, so that nothing can be added.
    """

    application: str
    code: Path
    entry: tuple[str, ...]
    python: Path
    socket: Path
    storage: Path
    logs: Path
    run: Path
    user: int
    memory_mb: int = 2048
    disk_mb: int = 1024
    environment: dict[str, str] = field(default_factory=dict)
    routes: tuple[PanoramaRoute, ...] = ()
    network: bool = False
    device: str = ""
    region: str = ""
    trust: bool = False
    full: bool = False


def order(settings: PanoramaSettings) -> dict[str, Any]:
    """What the launcher is told: which files to show, what to run.

    Raises:
        HookError: V801, the interpreter or the code is not there.
    """
    files = _interpreter_files(settings)
    tools = _tools(settings)
    sdk = Path(panoramasdk.__file__).resolve().parent
    scratch = settings.memory_mb * _MB // 4
    placed = [
        Placed(str(settings.code.resolve()), CODE_FOLDER, runnable=True),
        Placed(str(settings.storage.resolve()), STORAGE, writable=True),
        Placed(str(settings.logs.resolve()), LOGS, writable=True),
        Placed(str(settings.socket), _SOCKET, writable=True),
        Placed(str(tools / "bin"), f"{_OURS}/bin", runnable=True),
        Placed(str(sdk), f"{_OURS}/python/panoramasdk"),
        *(Placed(str(file), f"/etc/{file.name}") for file in sorted((tools / "etc").iterdir())),
    ]
    libraries = outermost([path for path in (*SYSTEM, *_PROGRAMS, *files) if os.path.exists(path)])
    env = _environment(settings)
    plain = {**env, "VEDETTE_PANORAMA_SOCKET": str(settings.socket), "PYTHONPATH": str(_sdk_alone(tools, sdk))}
    return {
        "view": {
            "libraries": libraries,
            "placed": [asdict(one) for one in placed],
            "fresh": [["/tmp", scratch], ["/dev/shm", scratch]],  # noqa: S108 - of its own
        },
        "proxy": settings.network,
        "program": {
            "argv": list(settings.entry),
            "env": {
                **env,
                "VEDETTE_PANORAMA_SOCKET": _SOCKET,
                "PYTHONPATH": f"{_OURS}/python",
                "PATH": f"{_OURS}/bin:/usr/local/bin:/usr/bin:/bin",
                "HOME": STORAGE,
                "TMPDIR": "/tmp",  # noqa: S108 - of its own
            },
            "cwd": "/",
            "plain_argv": [_plain(argument, settings) for argument in settings.entry],
            "plain_env": {**plain, "PATH": f"{tools / 'bin'}:{os.environ.get('PATH', os.defpath)}"},
            "plain_cwd": str(settings.code),
            "runnable": ["/"],  # there is nothing but what is shown
            "writable": [STORAGE, LOGS, "/tmp", "/dev/shm", "/dev/null", "/proc/self"],  # noqa: S108 - of its own
            "user": settings.user,
            "memory_bytes": settings.memory_mb * _MB + _INTERPRETER_BYTES,
            "file_bytes": 0 if settings.full else settings.disk_mb * _MB,
            "trust": settings.trust,
        },
    }


def _environment(settings: PanoramaSettings) -> dict[str, str]:
    """What programs found on the appliance, and what the manifest adds."""
    instance = uuid.uuid5(_INSTANCES, f"{settings.device}/{settings.application}")
    found = {
        "AppGraph_Uid": f"applicationInstance-{instance.hex}",
        "Node_Uid": f"{settings.application}-{instance.hex[:12]}",
        "container": "podman",
        # Nobody answers there: SDKs of AWS say at once that there are no credentials, with the error that code written
        # for the appliance catches, instead of going without and failing at the first request.
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/credentials",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",
    }
    if settings.region:
        found |= {"AWS_REGION": settings.region, "AWS_DEFAULT_REGION": settings.region}
    if settings.device:
        found["AWS_IOT_THING_NAME"] = settings.device
    if "TZ" in os.environ:
        found["TZ"] = os.environ["TZ"]
    return found | settings.environment


def _interpreter_files(settings: PanoramaSettings) -> list[str]:
    """What the interpreter, its installed packages and their libraries consist of, as it says itself."""
    try:
        answer = subprocess.run(
            [str(settings.python), "-s", "-c", _ASK],
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            capture_output=True,
            timeout=_ASK_LIMIT_S,
            check=True,
        )
        paths = json.loads(answer.stdout)["paths"]
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        raise HookError(
            f"application {settings.application}: the interpreter {settings.python} cannot be used ({error}).",
            hint="Name another with `--app-python`, or with `panoramaPython` in the configuration of vedette.AppHost.",
            code="V801",
        ) from error
    links = [str(settings.python), os.path.realpath(settings.python)]
    return [path for path in (*paths, *links) if os.path.isabs(path) and os.path.exists(path)]


def _tools(settings: PanoramaSettings) -> Path:
    """Names of Python, and what programs ask the system for; made anew at each start.

    Raises:
        HookError: V801, they cannot be made.
    """
    folder = settings.run
    try:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "bin").mkdir(parents=True)
        (folder / "etc").mkdir()
        folder.chmod(0o755)
        for name in _NAMES:
            script = folder / "bin" / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(settings.python))} "$@"\n')
            script.chmod(0o755)
        for name, text in (
            ("passwd", f"root:x:0:0::/:/bin/sh\npanorama:x:{settings.user}:{settings.user}::{STORAGE}:/bin/sh\n"),
            ("group", f"root:x:0:\npanorama:x:{settings.user}:\n"),
            ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
            ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
            ("resolv.conf", "# no names of its own: connections go through the proxy\n"),
        ):
            (folder / "etc" / name).write_text(text)
    except OSError as error:
        raise HookError(
            f"application {settings.application}: {folder} cannot be made: {error.strerror}.",
            hint="Check the owner and mode of the state directory, and its room.",
            code="V801",
        ) from error
    return folder


def _sdk_alone(tools: Path, sdk: Path) -> Path:
    """A folder with the SDK and nothing else, where there is no file system of its own to place it in."""
    folder = tools / "python"
    folder.mkdir()
    (folder / "panoramasdk").symlink_to(sdk)
    return folder


def _plain(argument: str, settings: PanoramaSettings) -> str:
    """An argument where the program sees this machine's own file system."""
    for target, source in ((CODE_FOLDER, settings.code), (STORAGE, settings.storage), (LOGS, settings.logs)):
        if argument == target or argument.startswith(f"{target}/"):
            return str(source) + argument[len(target) :]
    return argument
