"""``--camera NAME=URL|FILE`` as people type it, turned into a camera's configuration and its secret."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pydantic import ValidationError

from vedette.contracts.camera import CameraConfig
from vedette.contracts.errors import ConfigurationError, UsageError
from vedette.contracts.manifest import Manifest
from vedette.core.plan import nearest
from vedette.core.redact import redact
from vedette.core.url_policy import camera_policy, check_url

#: Application → its camera → the device's cameras.
Bindings = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class CameraArguments:
    """What the ``--camera`` options come to, for one application.

    Attributes:
        cameras: one configuration each; a second ``--camera`` of the same name makes ``NAME-2``.
        bindings: the application's camera → the device's cameras.
        secrets: secret name → ``username`` and ``password``, taken out of the addresses.
    """

    cameras: tuple[CameraConfig, ...]
    bindings: Mapping[str, tuple[str, ...]]
    secrets: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class DeviceArguments:
    """What the ``--camera`` and ``--bind`` options come to, for all applications of a device.

    Attributes:
        cameras: as of ``CameraArguments``.
        bindings: application → its camera → the device's cameras.
        secrets: as of ``CameraArguments``.
    """

    cameras: tuple[CameraConfig, ...]
    bindings: Bindings
    secrets: Mapping[str, Mapping[str, str]]


#: What may stand before the first slash of an address without credentials.
_HOST_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:\d{1,5})?")
_VIDEO_DEVICE: Final = re.compile(r"/dev/(video\d+|v4l/.+)")
#: A documentation address (RFC 5737), for checks that need no name server.
_SOME_ADDRESS: Final = "192.0.2.1"


def parse_camera_arguments(
    manifest: Manifest, arguments: Iterable[str], *, sub_streams: Iterable[str] = (), loop: bool = False
) -> CameraArguments:
    """Read the options of one application; see ``parse_device_arguments``."""
    found = parse_device_arguments([manifest], arguments, sub_streams=sub_streams, loop=loop)
    return CameraArguments(found.cameras, found.bindings[manifest.name], found.secrets)


def parse_device_arguments(
    manifests: Sequence[Manifest],
    arguments: Iterable[str],
    *,
    binds: Iterable[str] = (),
    sub_streams: Iterable[str] = (),
    loop: bool = False,
) -> DeviceArguments:
    """Read the options; every camera given must be one of an application, by its name or by ``binds``.

    Args:
        manifests: the applications whose cameras are bound: a camera given serves all that name it so.
        arguments: ``NAME=URL`` or ``NAME=FILE`` each.
        binds: ``APP.CAMERA=NAME[,NAME]`` each, where an application calls a camera differently.
        sub_streams: ``NAME=URL`` each: the small stream of a camera given in ``arguments``.
        loop: files start again at their end.

    Raises:
        UsageError: V701, not of the form, or no such file.
        ConfigurationError: V104, no application has such a camera, or none of an application's was bound; V105, an
            address that cannot be a camera's.
    """
    bound = _parse_binds(manifests, binds)
    known = sorted(
        {name for manifest in manifests for name in manifest.cameras} | {n for d in bound.values() for n in d}
    )
    listed = ", ".join(known)
    devices: dict[str, tuple[str, ...]] = {}
    cameras: list[CameraConfig] = []
    secrets: dict[str, dict[str, str]] = {}
    subs = dict(_pair("--sub", argument, listed) for argument in sub_streams)
    for argument in arguments:
        name, address = _pair("--camera", argument, listed)
        if name not in known:
            one = len(manifests) == 1
            raise ConfigurationError(
                f"{f'application {manifests[0].name} has no' if one else 'no application has a'} camera {name!r}; "
                f"cameras: {listed}{nearest(name, known)}.",
                hint="" if one else f"Where one calls it differently: --bind APP.CAMERA={name}.",
                code="V104",
            )
        device_name = name if name not in devices else f"{name}-{len(devices[name]) + 1}"
        if any(device_name in group for group in devices.values()):
            raise UsageError(f"--camera {name}: {device_name!r} is the name of another camera already.")
        config, secret = _camera(device_name, address, subs.pop(device_name, ""), loop=loop)
        cameras.append(config)
        if secret:
            secrets[f"vedette/camera/{device_name}"] = secret
        devices[name] = (*devices.get(name, ()), device_name)
    if subs:
        raise UsageError(f"--sub {next(iter(subs))}: there is no --camera of that name.")
    return DeviceArguments(tuple(cameras), _bindings(manifests, devices, bound), secrets)


def _camera(name: str, address: str, sub_address: str, *, loop: bool) -> tuple[CameraConfig, dict[str, str]]:
    """A camera's configuration, and what its secret holds."""
    address, secret = without_credentials(address)
    sub_address, sub_secret = without_credentials(sub_address)
    if sub_secret and secret and sub_secret != secret:
        raise UsageError(f"--sub {name}: a camera has one user name and password for all its streams.")
    secret = secret or sub_secret
    try:
        config = CameraConfig(
            name=name,
            url=_checked(address),
            sub_url=_checked(sub_address) if sub_address else None,
            secret=f"vedette/camera/{name}" if secret else None,
            loop=loop and "://" not in address,
        )
    except ValidationError as error:
        raise UsageError(f"--camera {name}: {error.errors()[0]['msg']}") from error
    return config, secret


def _parse_binds(manifests: Sequence[Manifest], binds: Iterable[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(application, its camera) → names of the device's cameras."""
    by_name = {manifest.name: manifest for manifest in manifests}
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for argument in binds:
        place, separator, names = argument.partition("=")
        app, dot, camera = place.partition(".")
        devices = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
        if not separator or not dot or not devices:
            raise UsageError(f"--bind {redact(argument)!r} is not of the form APP.CAMERA=NAME, such as shop.hall=gate.")
        if app not in by_name:
            near = nearest(app, by_name)
            raise UsageError(f"--bind {place}: no application is called {app!r}; there is {', '.join(by_name)}{near}.")
        cameras = by_name[app].cameras
        if camera not in cameras:
            raise ConfigurationError(
                f"--bind {place}: application {app} has no camera {camera!r}; "
                f"its cameras: {', '.join(sorted(cameras))}{nearest(camera, cameras)}.",
                code="V104",
            )
        if (app, camera) in found:
            raise UsageError(f"--bind {place} is given twice; several cameras are written {place}=NAME,NAME.")
        found[app, camera] = devices
    return found


def _bindings(
    manifests: Sequence[Manifest],
    devices: Mapping[str, tuple[str, ...]],
    bound: Mapping[tuple[str, str], tuple[str, ...]],
) -> dict[str, dict[str, tuple[str, ...]]]:
    """The cameras of each application; one that has none of its cameras is a mistake.

    Raises:
        ConfigurationError: V104.
    """
    there = {name for group in devices.values() for name in group}
    for (app, camera), names in bound.items():
        for name in names:
            if name not in there:
                raise ConfigurationError(
                    f"--bind {app}.{camera}={name}: there is no --camera of that name; "
                    f"given: {', '.join(sorted(there)) or 'none'}{nearest(name, there)}.",
                    code="V104",
                )
    bindings: dict[str, dict[str, tuple[str, ...]]] = {}
    for manifest in manifests:
        own = {
            camera: bound.get((manifest.name, camera), devices.get(camera, ()))
            for camera in manifest.cameras
            if (manifest.name, camera) in bound or camera in devices
        }
        if not own:
            first, known = next(iter(manifest.cameras)), ", ".join(sorted(manifest.cameras))
            raise ConfigurationError(
                f"no camera is bound; the cameras of application {manifest.name}: {known}.",
                hint=f"Say which with --camera {first}=rtsp://… or --camera {first}=FILE.",
                code="V104",
            )
        bindings[manifest.name] = own
    return bindings


def _pair(option: str, argument: str, known: str) -> tuple[str, str]:
    """The two sides of NAME=URL."""
    name, separator, address = argument.partition("=")
    if not separator or not name or not address or "://" in name:
        raise UsageError(
            f"{option} {redact(argument)!r} is not of the form NAME=URL or NAME=FILE; cameras here: {known}."
        )
    return name, address


def without_credentials(address: str) -> tuple[str, dict[str, str]]:
    """The address without its user part, and what was in it.

    In a proper URL the user part ends at the last ``@`` before the first slash. People paste passwords with ``/``,
    ``#``, ``?`` and ``@`` as they are; where the proper reading makes no sense, the user part ends at the last
    ``@`` of all. A password that stayed in the address would be shown on screens and in logs.

    Returns:
        The address, and ``username`` and ``password`` (percent-decoded); empty where there are none.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or "@" not in rest:
        return address, {}
    proper = _authority(rest).rpartition("@")[0]
    last = rest.rpartition("@")[0]
    user_part = proper
    if last != proper and not _is_proper(proper, rest, last):
        user_part = last
    if not user_part and not rest.startswith("@"):
        return address, {}
    user, _, password = user_part.partition(":")
    return f"{scheme}://{rest[len(user_part) + 1 :]}", {"username": unquote(user), "password": unquote(password)}


def _is_proper(user_part: str, rest: str, last: str) -> bool:
    """Whether an address with an ``@`` after its first slash can be read as the standard says."""
    location = _authority(rest[len(user_part) + 1 :] if user_part else rest)
    if not _HOST_AND_PORT.fullmatch(location):
        return False
    if _is_certainly_host(location):
        return True
    if not user_part:  # "admin:12/34@camera" is a password; "camera/stream@2" is none
        return ":" not in location or not _HOST_AND_PORT.fullmatch(_authority(rest[len(last) + 1 :]))
    return not _is_certainly_host(_authority(rest[len(last) + 1 :]))


def _authority(rest: str) -> str:
    return re.split(r"[/?#]", rest, maxsplit=1)[0]


def _is_certainly_host(location: str) -> bool:
    """Whether host and port can be told from the rest of a password: an address, a full name, localhost."""
    if not _HOST_AND_PORT.fullmatch(location):
        return False
    host = location.rpartition(":")[0] if re.search(r":\d+$", location) and location[-1] != "]" else location
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost" or "." in host.strip(".")
    return True


def _checked(address: str) -> str:
    """A file as an absolute path; a URL as it is, when a camera can have it.

    Raises:
        UsageError: V701, no such file.
        ConfigurationError: V105, the address makes no sense or is not allowed.
    """
    if "://" in address:
        check_url(address, camera_policy(), lambda _name: (_SOME_ADDRESS,))
        return address
    path = Path(address).expanduser()
    if _VIDEO_DEVICE.fullmatch(address):
        return f"v4l2://{address}"
    problem = _why_no_file(path)
    if problem:
        raise UsageError(
            f"file {redact(address)!r} cannot be used as a camera: {problem}.",
            hint="Give a video file, or an address with rtsp:// in front.",
        )
    return str(path.resolve())


def _why_no_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        return (getattr(error, "strerror", "") or "not a file name").lower()
    if not stat.S_ISREG(mode):
        return "it is a directory" if stat.S_ISDIR(mode) else "it is a device, a pipe or a socket"
    if not os.access(path, os.R_OK):
        return "this user may not read it"
    return "it is empty" if path.stat().st_size == 0 else ""
