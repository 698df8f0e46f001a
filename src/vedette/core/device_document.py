"""What a device makes of its document: which entries hold, which are refused and why, what is in force. Pure.

The document wins over the configuration of a deployment, and that over defaults. One entry that cannot be used costs
only itself, and its last good value stays in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from vedette.contracts.camera import CameraConfig, CameraSettings
from vedette.contracts.device_document import (
    CAMERA_SECRETS,
    MAX_REPORTED_BYTES,
    DeviceDocument,
    DeviceReport,
    DiagnosticsRequest,
    Refusal,
)
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import ParameterValue
from vedette.contracts.plan import AttachedApplication
from vedette.core.messages import one_line
from vedette.core.parameters import with_parameters
from vedette.core.plan import nearest
from vedette.core.redact import redact
from vedette.core.shadow import compact
from vedette.core.url_policy import camera_policy, check_url

_REASON: Final = 160
_ENTRY: Final = 140
#: Entries of a message that are looked at; 8 KB hold fewer.
_MOST_ENTRIES: Final = 1_000
_SECTIONS: Final = ("cameras", "paused", "parameters", "log_level")
_KNOWN: Final = frozenset({*_SECTIONS, "diagnostics", "revision"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an entry is judged by.

    Attributes:
        cameras: of the deployment's configuration.
        networks: CIDR ranges that cameras may be in; any where empty.
        applications: attached, by name.
    """

    cameras: Sequence[CameraConfig] = ()
    networks: tuple[str, ...] = ()
    applications: Mapping[str, AttachedApplication] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a document.

    Attributes:
        document: in force.
        refused: entries that are not in force as they stand.
    """

    document: DeviceDocument
    refused: tuple[Refusal, ...] = ()


def decide(desired: Mapping[str, Any], good: DeviceDocument, here: Surroundings) -> Decision:
    """Judge every entry by itself.

    Args:
        desired: as it came, whatever it is.
        good: every entry's last good value.
        here: the device.
    """
    judge = _Judge(good, here)
    for key in sorted(map(str, desired.keys() - _KNOWN))[:_MOST_ENTRIES]:
        judge.refuse(key, "this release does not know it; another release of the components may")
    cameras = judge.section(desired, "cameras", judge.camera)
    names = {camera.name for camera in here.cameras} | cameras.keys()
    paused = judge.section(desired, "paused", lambda name, who: judge.paused(name, who, names))
    levels = judge.section(desired, "log_level", judge.log_level)
    parameters = judge.section(desired, "parameters", judge.parameters)
    revision = desired.get("revision", 0)
    document = DeviceDocument(
        revision=revision if isinstance(revision, int) and not isinstance(revision, bool) and revision >= 0 else 0,
        cameras=cameras,
        paused=paused,
        parameters={app: values for app, values in parameters.items() if values},
        log_level=levels,
        diagnostics=judge.diagnostics(desired.get("diagnostics")),
    )
    return Decision(document, tuple(judge.refused))


class _RefusedError(Exception):
    """An entry cannot be used."""


class _Judge:
    def __init__(self, good: DeviceDocument, here: Surroundings) -> None:
        self._good = good
        self._here = here
        self.refused: list[Refusal] = []

    def refuse(self, entry: str, reason: str) -> None:
        """Note why an entry is not in force."""
        self.refused.append(Refusal(entry=redact(entry)[:_ENTRY], reason=one_line(redact(reason), _REASON)))

    def section(self, desired: Mapping[str, Any], name: str, judge: Any) -> dict[str, Any]:
        """Entries of a section that hold."""
        entries = desired.get(name)
        good: dict[str, Any] = getattr(self._good, name)
        if entries is None:
            return {}
        if not isinstance(entries, dict):
            self.refuse(name, f"it is no object of entries by name but {_kind(entries)}")
            return dict(good)
        found: dict[str, Any] = {}
        for key in sorted(entries, key=str)[:_MOST_ENTRIES]:
            try:
                found[key] = judge(str(key), entries[key])
            except _RefusedError as error:
                self.refuse(f"{name}/{key}", str(error))
                if key in good:
                    found[key] = good[key]
        return found

    def camera(self, name: str, entry: Any) -> CameraSettings:
        """One camera, whose address may be used."""
        if not isinstance(entry, dict):
            raise _RefusedError(f"it is no object but {_kind(entry)}")
        if "name" in entry:
            raise _RefusedError("name: the key of the entry is the camera's name")
        try:
            camera = DeviceDocument.model_validate({"cameras": {name: entry}}).cameras[name]
        except ValidationError as error:
            raise _RefusedError(_first(error)) from None
        for key, url in (("url", camera.url), ("sub_url", camera.sub_url)):
            if url is not None:
                self._address(key, url)
        if camera.secret is not None and not camera.secret.startswith(CAMERA_SECRETS):
            raise _RefusedError(f"secret: names of cameras' secrets begin with {CAMERA_SECRETS}")
        return camera

    def _address(self, key: str, url: str) -> None:
        if redact(url) != url:
            raise _RefusedError(f"{key}: it holds a user name or password; they belong in a secret")
        try:
            check_url(url, camera_policy(self._here.networks), _unresolved)
        except ConfigurationError as error:
            raise _RefusedError(f"{key}: {error.message}") from None
        except OSError:
            pass  # a name: whoever connects resolves it and checks the addresses

    def paused(self, name: str, who: Any, cameras: set[str]) -> str:
        """Who paused a camera that is there."""
        if name not in cameras:
            known = ", ".join(sorted(cameras)) or "none"
            raise _RefusedError(f"no camera is called so; there is {known}{nearest(name, cameras)}")
        if not isinstance(who, str):
            raise _RefusedError(f"who paused it has to be a text, not {_kind(who)}")
        return who[:64]

    def log_level(self, name: str, level: Any) -> str:
        """A level for a component."""
        try:
            return str(DeviceDocument.model_validate({"log_level": {name: level}}).log_level[name])
        except ValidationError as error:
            raise _RefusedError(_first(error)) from None

    def parameters(self, app: str, values: Any) -> dict[str, ParameterValue]:
        """Values for one application that may stand together."""
        if not isinstance(values, dict):
            raise _RefusedError(f"it is no object of values by name but {_kind(values)}")
        application = self._here.applications.get(app)
        if application is None:
            known = ", ".join(sorted(self._here.applications)) or "none"
            raise _RefusedError(f"no such application is attached (there is {known}); they wait until it is")
        good = self._good.parameters.get(app, {})
        found: dict[str, ParameterValue] = {}
        for name in sorted(values, key=str)[:_MOST_ENTRIES]:
            for value, last in ((values[name], False), (good.get(name), True)):
                if value is None:
                    continue
                try:
                    found = self._with(application, found, str(name), value)
                except _RefusedError as error:
                    if not last:
                        self.refuse(f"parameters/{app}/{name}", str(error))
                    continue
                break
        return found

    @staticmethod
    def _with(
        application: AttachedApplication, found: dict[str, ParameterValue], name: str, value: Any
    ) -> dict[str, ParameterValue]:
        """The values with one more, checked together: each may be right and both wrong."""
        try:
            checked = DeviceDocument.model_validate({"parameters": {"a": {name: value}}}).parameters["a"][name]
        except ValidationError as error:
            raise _RefusedError(_first(error)) from None
        together = {**found, name: checked}
        try:
            with_parameters(application.manifest, {**application.parameters, **together})
        except ConfigurationError as error:
            said = error.message.removeprefix(f"application {application.manifest.name}: ")
            raise _RefusedError(said) from None
        return together

    def diagnostics(self, entry: Any) -> DiagnosticsRequest | None:
        """The request, where it is one."""
        if entry is None:
            return None
        try:
            return DiagnosticsRequest.model_validate(entry)
        except ValidationError as error:
            self.refuse("diagnostics", _first(error))
            return self._good.diagnostics


def cameras_in_force(configured: Sequence[CameraConfig], document: DeviceDocument) -> tuple[CameraConfig, ...]:
    """The device's cameras: the document's in place of the deployment's of the same name; paused ones are off."""
    cameras = {camera.name: camera for camera in configured}
    cameras |= {name: CameraConfig(name=name, **one.model_dump()) for name, one in document.cameras.items()}
    return tuple(
        camera.model_copy(update={"enabled": False}) if name in document.paused else camera
        for name, camera in cameras.items()
    )


def fitted(report: DeviceReport, limit: int = MAX_REPORTED_BYTES) -> DeviceReport:
    """The report in at most ``limit`` bytes: refusals go from the last on, and are counted."""
    while len(compact(reported(report))) > limit and report.refused:
        fewer, more = report.refused[:-1], report.refused_more + 1
        report = report.model_copy(update={"refused": fewer, "refused_more": more})
    if len(compact(reported(report))) > limit:
        report = report.model_copy(update={"paused": ()})
    return report


def reported(report: DeviceReport) -> dict[str, Any]:
    """As it stands in the shadow; null takes away what an earlier report held."""
    return {"device": report.model_dump(mode="json")}


def _unresolved(_name: str) -> Sequence[str]:
    raise OSError("not resolved here")


def _first(error: ValidationError) -> str:
    """In one line, without the value: it may hold a password."""
    detail = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in detail["loc"][2:]] or [str(part) for part in detail["loc"][-1:]]
    said = detail["msg"]
    if detail["type"] == "extra_forbidden":
        said = "this release does not know it"
    return f"{'.'.join(place)}: {said}" if place else said


def _kind(value: Any) -> str:
    names = {str: "a text", bool: "true or false", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")
