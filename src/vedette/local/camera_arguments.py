"""``--camera NAME=URL|FILE`` as people type it, turned into a camera's configuration and its secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import ValidationError

from vedette.contracts.camera import CameraConfig
from vedette.contracts.errors import ConfigurationError, UsageError
from vedette.contracts.manifest import Manifest


@dataclass(frozen=True, slots=True)
class CameraArguments:
    """What the ``--camera`` options come to.

    Attributes:
        cameras: one configuration each; a second ``--camera`` of the same name makes ``NAME-2``.
        bindings: the application's camera → the device's cameras.
        secrets: secret name → ``username`` and ``password``, taken out of the addresses.
    """

    cameras: tuple[CameraConfig, ...]
    bindings: Mapping[str, tuple[str, ...]]
    secrets: Mapping[str, Mapping[str, str]]


#: What may stand before the first slash of an address without credentials.
_HOST_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:\d{1,5})?")


def parse_camera_arguments(
    manifest: Manifest, arguments: Iterable[str], *, sub_streams: Iterable[str] = (), loop: bool = False
) -> CameraArguments:
    """Read the options; every camera named must be one of the manifest's.

    Args:
        manifest: the application whose cameras are bound.
        arguments: ``NAME=URL`` or ``NAME=FILE`` each.
        sub_streams: ``NAME=URL`` each: the small stream of a camera given in ``arguments``.
        loop: files start again at their end.

    Raises:
        UsageError: V701, not of the form, or no such file.
        ConfigurationError: V104, the manifest has no such camera, or none was bound at all.
    """
    cameras: list[CameraConfig] = []
    bindings: dict[str, tuple[str, ...]] = {}
    secrets: dict[str, dict[str, str]] = {}
    known = ", ".join(sorted(manifest.cameras))
    subs = dict(_pair("--sub", argument, known) for argument in sub_streams)
    for argument in arguments:
        name, address = _pair("--camera", argument, known)
        if name not in manifest.cameras:
            raise ConfigurationError(
                f"application {manifest.name} has no camera {name!r}; it has {known}.", code="V104"
            )
        bound = bindings.get(name, ())
        device_name = name if not bound else f"{name}-{len(bound) + 1}"
        address, secret = _without_credentials(address)
        if secret:
            secrets[f"vedette/camera/{device_name}"] = secret
        try:
            cameras.append(
                CameraConfig(
                    name=device_name,
                    url=_absolute(address),
                    sub_url=_absolute(_without_credentials(subs.pop(device_name))[0]) if device_name in subs else None,
                    secret=f"vedette/camera/{device_name}" if secret else None,
                    loop=loop and "://" not in address,
                )
            )
        except ValidationError as error:
            raise UsageError(f"--camera {name}: {error.errors()[0]['msg']}") from error
        bindings[name] = (*bound, device_name)
    if subs:
        raise UsageError(f"--sub {next(iter(subs))}: there is no --camera of that name.")
    if not cameras:
        first = next(iter(manifest.cameras))
        raise ConfigurationError(
            f"no camera is bound; application {manifest.name} has {known}.",
            hint=f"Say which with --camera {first}=rtsp://… or --camera {first}=FILE.",
            code="V104",
        )
    return CameraArguments(tuple(cameras), bindings, secrets)


def _pair(option: str, argument: str, known: str) -> tuple[str, str]:
    """The two sides of NAME=URL."""
    name, separator, address = argument.partition("=")
    if not separator or not name or not address:
        raise UsageError(f"{option} {name!r} is not of the form NAME=URL or NAME=FILE; cameras here: {known}.")
    return name, address


def _without_credentials(address: str) -> tuple[str, dict[str, str]]:
    """The address without its user part, and what was in it."""
    if "://" not in address:
        return address, {}
    scheme, _, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    # A password may hold a slash that nobody escaped: then what stands before it is no host with a port, and the
    # host starts after the last @ of the whole address. An @ in the path of a camera's address is just that.
    if "@" in rest and "@" not in authority and not _HOST_AND_PORT.fullmatch(authority):
        authority, _, path = rest.rpartition("@")
        authority, slash = f"{authority}@{path.partition('/')[0]}", "/"
        path = path.partition("/")[2]
    user_part, at, host = authority.rpartition("@")
    if not at:
        return address, {}
    user, _, password = user_part.partition(":")
    return f"{scheme}://{host}{slash}{path}", {"username": unquote(user), "password": unquote(password)}


def _absolute(address: str) -> str:
    """A file as an absolute path; a URL as it is.

    Raises:
        UsageError: V701, no such file.
    """
    if "://" in address:
        parts = urlsplit(address)
        return urlunsplit(parts)
    path = Path(address).expanduser()
    if not path.exists():
        raise UsageError(
            f"no file {address!r} to use as a camera.",
            hint="Give an existing file, or an address with rtsp:// in front.",
        )
    return str(path.resolve())
