"""``vedette camera add``, ``list``, ``remove``, ``pause`` and ``resume``: the cameras of a device of the fleet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.camera_secrets import CameraSecrets
from vedette.adapters.aws.shadows import Document, Documents
from vedette.cli.argv import hide_credentials
from vedette.cli.camera_credentials import PASSWORD_VARIABLE, ask_password
from vedette.cli.device_answer import (
    DEFAULT_TIMEOUT_S,
    Device,
    Json,
    Known,
    Stage,
    Timeout,
    Wait,
    known,
    operator,
    settle,
)
from vedette.cli.tables import plain_table
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.base import mistakes
from vedette.contracts.camera import Transport
from vedette.contracts.device_document import DeviceDocument
from vedette.contracts.errors import CloudError, UsageError
from vedette.core.fleet.device_item import health_of
from vedette.core.plan import nearest
from vedette.core.redact import redact
from vedette.core.url_policy import DEFAULT_PORTS, CheckedUrl, camera_policy, check_url

_STYLES: Final = {"STREAMING": "green", "DISABLED": "dim", "CONNECTING": "yellow"}
Name = Annotated[str, typer.Argument(metavar="NAME", help="The camera's name on the device.")]


def add(
    name: Name,
    url: Annotated[str, typer.Argument(metavar="URL", help="rtsp:// or rtsps:// address, or v4l2:///dev/videoN.")],
    device: Device,
    sub_url: Annotated[str | None, typer.Option(help="Its small stream, used for analysis.")] = None,
    user: Annotated[
        str | None, typer.Option(help=f"User name; the password is asked for, or comes from {PASSWORD_VARIABLE}.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="File whose first line is the password of --user.")] = None,
    transport: Annotated[Transport, typer.Option(help="How the pictures travel.")] = Transport.AUTO,
    fps: Annotated[float | None, typer.Option(min=0.1, max=120, help="Analyse no more pictures a second.")] = None,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Give a device a camera, or another address or password to one it has. No deployment is needed.

    The password goes to Secrets Manager, readable for this device alone; also one that stands in the address.

    Examples:
        vedette camera add hall rtsp://10.0.0.7/stream1 --device SN-2041 --user viewer --wait

        vedette camera add dock rtsp://10.0.0.8/main --sub-url rtsp://10.0.0.8/sub --device SN-2041 --fps 5
    """
    hide_credentials()
    address, username, password = _without_credentials(url)
    small = None if sub_url is None else _without_credentials(sub_url)[0]
    if user is not None:
        username, password = user, ask_password(user, password_file)
    elif password_file is not None:
        ask_password(None, password_file)
    entry: dict[str, Any] = {"url": address, "sub_url": small, "transport": transport.value, "max_fps": fps}
    entry = _checked(name, {key: value for key, value in entry.items() if value is not None})
    account = Account(stage)
    target, documents = known(account, device), Documents(account)
    if username or password:
        entry["secret"] = CameraSecrets(account).put(target.thing, name, username, password)

    def edit(desired: dict[str, Any]) -> None:
        cameras = desired.setdefault("cameras", {})
        before = cameras.get(name)
        kept = {"secret": before["secret"]} if isinstance(before, dict) and before.get("secret") else {}
        cameras[name] = {**kept, **entry}

    written = documents.change(target.thing, edit)
    said = f"camera {name} at {address}" + (f", login in {entry['secret']}" if "secret" in entry else "")
    more = {"url": address, "secret": written.desired["cameras"][name].get("secret")}
    settle(
        documents, target, written, f"cameras/{name}", wait=wait, timeout_s=timeout, json_=json_, done=said, more=more
    )


def remove(
    name: Name,
    device: Device,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Take away a camera that was added so. Its password can be had back from Secrets Manager for seven days.

    Examples:
        vedette camera remove hall --device SN-2041 --wait
    """
    account = Account(stage)
    target, documents = known(account, device), Documents(account)

    def edit(desired: dict[str, Any]) -> None:
        cameras = desired.get("cameras", {})
        if name not in cameras:
            raise _no_camera(name, target, cameras)
        del cameras[name]
        desired.get("paused", {}).pop(name, None)

    written = documents.change(target.thing, edit)
    gone = CameraSecrets(account).delete(target.thing, name)
    more = {"secret_deleted": gone}
    done = f"camera {name} taken away" + (", its secret is deleted in 7 days" if gone else "")
    settle(
        documents, target, written, f"cameras/{name}", wait=wait, timeout_s=timeout, json_=json_, done=done, more=more
    )


def pause(
    name: Name,
    device: Device,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Let a camera rest: its process is stopped, nothing of it is looked at or judged, until it is resumed.

    Examples:
        vedette camera pause hall --device SN-2041 --wait
    """
    _rest(name, device, operator(), wait=wait, timeout_s=timeout, stage=stage, json_=json_)


def resume(
    name: Name,
    device: Device,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Let a camera that was paused go on.

    Examples:
        vedette camera resume hall --device SN-2041 --wait
    """
    _rest(name, device, None, wait=wait, timeout_s=timeout, stage=stage, json_=json_)


def _rest(name: str, device: str, who: str | None, *, wait: bool, timeout_s: float, stage: str, json_: bool) -> None:
    account = Account(stage)
    target, documents = known(account, device), Documents(account)

    def edit(desired: dict[str, Any]) -> None:
        paused = desired.setdefault("paused", {})
        if who is None and name not in paused:
            raise CloudError(f"camera {name!r} of {target.thing} is not paused.", code="V013")
        if who is None:
            del paused[name]
        else:
            paused.setdefault(name, who)

    written = documents.change(target.thing, edit)
    done = f"camera {name} {'resumed' if who is None else 'paused'}"
    settle(documents, target, written, f"paused/{name}", wait=wait, timeout_s=timeout_s, json_=json_, done=done)


def list_(device: Device, stage: Stage = DEFAULT_STAGE, json_: Json = False) -> None:
    """A device's cameras: what was asked for, beside what the device says. Ends with 1 where something is refused.

    Examples:
        vedette camera list --device SN-2041

        vedette camera list --device SN-2041 --json
    """
    account = Account(stage)
    target = known(account, device)
    document = Documents(account).read(target.thing)
    rows = _rows(target, document)
    if json_:
        about = {"device": target.thing, "version": document.version, "offline": target.offline}
        report = document.report
        about["answered"] = report.version if report is not None else None
        print(json.dumps({**about, "cameras": rows}))
    else:
        _print(target, document, rows)
    if any(row["on_device"] == "refused" for row in rows):
        raise typer.Exit(1)


def _rows(target: Known, document: Document) -> list[dict[str, Any]]:
    health = health_of(target.item)
    states = {name: state.value for name, state in health.cameras.items()} if health is not None else {}
    wanted, paused = document.desired.get("cameras", {}), document.desired.get("paused", {})
    answered = document.report is not None and document.report.revision >= int(document.desired.get("revision") or 0)
    rows = []
    for name in sorted({*wanted, *paused, *states}):
        entry = wanted.get(name)
        reasons = [*document.refusals(f"cameras/{name}"), *document.refusals(f"paused/{name}")]
        if entry is None and name not in paused:
            on_device = "of the deployment"
        else:
            on_device = "refused" if reasons else "in force" if answered else "waiting"
        rows.append(
            {
                "name": name,
                "url": redact(str(entry.get("url", ""))) if isinstance(entry, dict) else "",
                "secret": entry.get("secret") if isinstance(entry, dict) else None,
                "paused_by": paused.get(name),
                "on_device": on_device,
                "reason": "; ".join(reasons),
                "state": states.get(name, ""),
            }
        )
    return rows


def _print(target: Known, document: Document, rows: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    if not rows:
        console.print(f"{escape(target.thing)} has no cameras that the account knows of")
        return
    table = plain_table("camera", "address", "secret", "on the device", "state")
    for row in rows:
        said = row["on_device"] + (f": {row['reason']}" if row["reason"] else "")
        state = ", ".join(filter(None, (row["state"], row["paused_by"] and f"paused by {row['paused_by']}")))
        style = _STYLES.get(row["state"], "red" if row["state"] else "")
        table.add_row(
            escape(row["name"]),
            escape(row["url"]),
            escape(row["secret"] or ""),
            escape(said),
            f"[{style}]{escape(state)}[/]" if style else escape(state),
        )
    console.print(table)
    if target.offline:
        console.print(f"[yellow]{escape(target.thing)} is offline ({escape(target.seen)}): the states are old[/yellow]")
    elif document.version and document.report is None:
        console.print(f"[yellow]{escape(target.thing)} has not said anything of its document yet[/yellow]")


def _without_credentials(url: str) -> tuple[str, str, str]:
    """The address, user name and password of one that may hold all three."""
    checked = check_url(url, camera_policy(), lambda _name: ("192.0.2.1",))
    plain = _plain(checked)
    if redact(plain) != plain:
        raise UsageError(
            f"the address {redact(url)!r} holds a password in its path or query.",
            hint="Whoever reads the device's document could read it. Let the camera ask for a login instead.",
        )
    return plain, checked.username, checked.password


def _plain(checked: CheckedUrl) -> str:
    if not checked.is_network:
        return checked.target if checked.scheme == "file" else f"{checked.scheme}://{checked.target}"
    host = f"[{checked.host}]" if ":" in checked.host else checked.host
    port = "" if DEFAULT_PORTS[checked.scheme] == checked.port else f":{checked.port}"
    return f"{checked.scheme}://{host}{port}{checked.target}"


def _checked(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    try:
        camera = DeviceDocument.model_validate({"cameras": {name: entry}}).cameras[name]
    except ValidationError as error:
        raise UsageError(f"the camera cannot be added so: {'; '.join(mistakes(error))}.") from None
    return camera.model_dump(mode="json", exclude_defaults=True)


def _no_camera(name: str, target: Known, cameras: dict[str, Any]) -> CloudError:
    there = ", ".join(sorted(cameras)) or "none"
    return CloudError(
        f"{target.thing} has no camera {name!r} that was added so; there is {there}{nearest(name, cameras)}.",
        hint="Cameras of the deployment's configuration go by a deployment; `vedette camera pause` lets one rest.",
        code="V013",
    )
