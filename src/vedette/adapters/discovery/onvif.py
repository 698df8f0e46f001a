"""What a device says about itself by ONVIF: make, model, streams. Every address it gives is checked before use.

Source: ONVIF Core Specification (device management), ONVIF Media Service Specification, version 1 of both services.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp
from onvif.exceptions import ONVIFError
from zeep.exceptions import Error as SoapError

from vedette.adapters.discovery.found import Announcement, FoundCamera, StreamProfile, clean, propose
from vedette.adapters.discovery.soap import AnswerError, RefusedError, Service, Session
from vedette.contracts.errors import ConfigurationError
from vedette.core.url_policy import CheckedUrl, UrlPolicy, check_url

logger = logging.getLogger(__name__)

PROFILE_LIMIT: Final = 16
#: Devices asked at once.
PARALLEL: Final = 16
REQUEST_LIMIT_S: Final = 4.0
DEVICE_LIMIT_S: Final = 8.0
_RTP: Final = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}


@dataclass(frozen=True, slots=True)
class AskSettings:
    """How devices are asked.

    Attributes:
        user: tried where a device asks for credentials; None where nobody gave one.
        password: of that user.
        networks: CIDR ranges a device may point to, besides its own address.
        resolve: host name → addresses.
        device_limit_s: for all questions to one device.
    """

    user: str | None
    password: str
    networks: tuple[str, ...]
    resolve: Callable[[str], Sequence[str]]
    device_limit_s: float = DEVICE_LIMIT_S

    def policy(self, sender: str, schemes: frozenset[str], what: str) -> UrlPolicy:
        """What a device at ``sender`` may point to: itself and the local networks. Loopback only from loopback."""
        address = ipaddress.ip_address(sender)
        own = f"{address}/{address.max_prefixlen}"
        return UrlPolicy(schemes, address.is_loopback, userinfo=True, networks=(own, *self.networks), what=what)


async def ask_all(
    announcements: Sequence[Announcement],
    settings: AskSettings,
    on_answer: Callable[[FoundCamera], None] | None = None,
) -> list[FoundCamera]:
    """Ask every device, several at once; one that fails has a ``problem`` and stops no other.

    Returns:
        The cameras by their IP addresses.
    """
    turn = asyncio.Semaphore(PARALLEL)

    async def ask(announcement: Announcement) -> FoundCamera:
        async with turn:
            camera = await ask_device(announcement, settings)
        if on_answer is not None:
            on_answer(camera)
        return camera

    cameras = await asyncio.gather(*(ask(announcement) for announcement in announcements))
    return sorted(cameras, key=lambda camera: ipaddress.ip_address(camera.address).packed)


async def ask_device(announcement: Announcement, settings: AskSettings) -> FoundCamera:
    """Ask one device; never fails."""
    camera = FoundCamera(announcement.sender, name=announcement.name, model=announcement.hardware)
    try:
        service = await _usable(announcement, settings)
    except AnswerError as error:
        return replace(camera, problem=str(error))
    talk = _Talk(replace(camera, service=service.shown), settings)
    try:
        async with asyncio.timeout(settings.device_limit_s):
            await talk.run(service)
    except RefusedError:
        talk.note(
            "it refused this user and password"
            if settings.user is not None
            else "it tells its streams only to a user with a password (--user)",
            needs_password=True,
        )
    except AnswerError as error:
        talk.note(str(error))
    except TimeoutError:
        talk.note(f"it did not answer within {settings.device_limit_s:g} s")
    except aiohttp.ClientConnectionError:
        talk.note("its ONVIF service cannot be connected to")
    except (aiohttp.ClientError, SoapError, ONVIFError) as error:
        logger.debug("%s: %s", announcement.sender, error)
        talk.note(f"its ONVIF service failed ({clean(type(error).__name__)})")
    except Exception as error:  # noqa: BLE001 - a stranger's answers break the SOAP library in many ways
        logger.debug("%s: %s", announcement.sender, error)
        talk.note("its answers do not follow ONVIF")
    return talk.camera


async def _usable(announcement: Announcement, settings: AskSettings) -> CheckedUrl:
    """The first of a device's addresses that may be used.

    Raises:
        AnswerError: there is none.
    """
    policy = settings.policy(announcement.sender, frozenset({"http", "https"}), "ONVIF")
    refused = "it gave no address of its ONVIF service"
    for xaddr in announcement.xaddrs:
        try:
            return await _checked(xaddr, policy, settings)
        except AnswerError as error:
            refused = str(error)
    raise AnswerError(refused)


async def _checked(url: object, policy: UrlPolicy, settings: AskSettings) -> CheckedUrl:
    try:
        return await asyncio.to_thread(check_url, str(url or "").strip(), policy, settings.resolve)
    except ConfigurationError as error:
        raise AnswerError(clean(error.message)) from None
    except OSError:
        raise AnswerError(f"the {policy.what} address it gave has a name that cannot be resolved") from None


class _Talk:
    """The questions to one device, and what is known so far."""

    def __init__(self, camera: FoundCamera, settings: AskSettings) -> None:
        self.camera = camera
        self._settings = settings

    def note(self, problem: str, *, needs_password: bool = False) -> None:
        self.camera = replace(self.camera, problem=problem, needs_password=needs_password)

    async def run(self, address: CheckedUrl) -> None:
        """Ask everything; what is known is in ``camera`` even when a later question fails."""
        async with Session(self._settings.user, self._settings.password, REQUEST_LIMIT_S) as session:
            device = await session.service("devicemgmt", address)
            offset = await _clock_offset(device)
            if offset is not None:
                device = await session.service("devicemgmt", address, offset)
            await self._information(device)
            media = await session.service("media", await self._media_address(device), offset)
            await self._profiles(media)

    async def _information(self, device: Service) -> None:
        try:
            answer = await device.call("GetDeviceInformation")
        except RefusedError:
            self.camera = replace(self.camera, needs_password=True)  # its streams may be open all the same
            return
        maker, model = clean(_part(answer, "Manufacturer")), clean(_part(answer, "Model"))
        self.camera = replace(
            self.camera,
            manufacturer=maker,
            model=model or self.camera.model,
            firmware=clean(_part(answer, "FirmwareVersion")),
            name=self.camera.name or " ".join(part for part in (maker, model) if part),
        )

    async def _media_address(self, device: Service) -> CheckedUrl:
        policy = self._settings.policy(self.camera.address, frozenset({"http", "https"}), "media service")
        try:
            url = _part(await device.call("GetCapabilities", {"Category": "Media"}), "Media", "XAddr")
        except SoapError:
            url = None
        if not url:
            services = await device.call("GetServices", {"IncludeCapability": False})
            url = next((entry.XAddr for entry in services or () if "/ver10/media/" in str(entry.Namespace)), None)
        if not url:
            raise AnswerError("it has no media service: no camera, or one with version 2 of the service only")
        return await _checked(url, policy, self._settings)

    async def _profiles(self, media: Service) -> None:
        profiles: list[StreamProfile] = []
        for entry in list(await media.call("GetProfiles") or ())[:PROFILE_LIMIT]:
            profile = _described(entry)
            if profile is None:
                continue
            profiles.append(await self._with_address(media, profile, _part(entry, "token")))
            main, sub = propose(profiles)
            self.camera = replace(self.camera, profiles=tuple(profiles), main=main, sub=sub)
        if self.camera.main:
            self.camera = replace(self.camera, needs_password=media.asked or self.camera.needs_password)
        elif not profiles:
            self.note("it has no video streams")

    async def _with_address(self, media: Service, profile: StreamProfile, token: object) -> StreamProfile:
        policy = self._settings.policy(self.camera.address, frozenset({"rtsp", "rtsps"}), "stream")
        try:
            answer = await media.call("GetStreamUri", {"StreamSetup": _RTP, "ProfileToken": token})
            address = await _checked(_part(answer, "Uri"), policy, self._settings)
        except AnswerError as error:
            return replace(profile, problem=str(error))
        except SoapError as error:
            return replace(profile, problem=f"it gives no address of this stream ({clean(error)})")
        return replace(profile, url=address.shown)


async def _clock_offset(device: Service) -> dt.timedelta | None:
    """The device's clock less ours: digests with a time far from the device's own are refused."""
    try:
        now = _part(await device.call("GetSystemDateAndTime"), "UTCDateTime")
        date, time = now.Date, now.Time
        there = dt.datetime(date.Year, date.Month, date.Day, time.Hour, time.Minute, time.Second, tzinfo=dt.UTC)
    except (SoapError, RefusedError, AttributeError, TypeError, ValueError):
        return None
    return there - dt.datetime.now(dt.UTC)


def _described(entry: Any) -> StreamProfile | None:
    """A profile of the media service; None where it has no video."""
    encoder = _part(entry, "VideoEncoderConfiguration")
    if encoder is None:
        return None
    return StreamProfile(
        name=clean(_part(entry, "Name")) or clean(_part(entry, "token")),
        codec=clean(_part(encoder, "Encoding")),
        width=_number(_part(encoder, "Resolution", "Width")),
        height=_number(_part(encoder, "Resolution", "Height")),
        fps=float(_number(_part(encoder, "RateControl", "FrameRateLimit"))),
        key_interval=_number(_part(encoder, "H264", "GovLength")),
    )


def _part(value: Any, *names: str) -> Any:
    """A part of an answer; None where it, or what it is in, is missing."""
    for name in names:
        value = getattr(value, name, None)
    return value


def _number(value: object) -> int:
    return max(value, 0) if isinstance(value, int) else 0
