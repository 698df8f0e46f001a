"""``vedette run``: an application on this machine, with the processes, recipes and messages of a device."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from vedette.adapters.manifest import load_manifest
from vedette.adapters.manifest.loading import manifest_path
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.cli.argv import hide_credentials
from vedette.cli.session import Session
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Manifest
from vedette.local.camera_arguments import parse_camera_arguments
from vedette.local.core import BrokerIot
from vedette.local.edge import EdgeSettings
from vedette.local.overrides import with_overrides

#: A hundred years: as good as for ever, and a number every clock can take.
_LONGEST_S: Final = 3.2e9
_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of ``90``, ``60s``, ``2m`` or ``1.5h``.

    Raises:
        UsageError: V701, not of that form, or no time at all.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None or not float(match[1]):
        raise UsageError(f"duration {text!r} is not a number above 0 with s, m or h behind it, such as 60s or 2m.")
    return min(float(match[1]) * _UNITS[match[2]], _LONGEST_S)


def with_resolved_models(manifest: Manifest, directory: Path, store: ModelStore) -> Manifest:
    """The manifest with every model file absolute.

    Raises:
        ModelError: V301, a model is neither beside the manifest nor in the store.
    """
    models = {
        name: model
        if model.built_in
        else model.model_copy(update={"file": str(resolve_model(model.file, directory, store))})
        for name, model in manifest.models.items()
    }
    return manifest.model_copy(update={"models": models})


def run(
    manifest: Annotated[Path, typer.Argument(help="The application's vedette.yaml.")],
    camera: Annotated[list[str] | None, typer.Option(help="NAME=URL or NAME=FILE; once per camera.")] = None,
    sub: Annotated[
        list[str] | None, typer.Option(help="NAME=URL: a camera's small stream; analysis uses it where it can.")
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", help="End after this time, such as 60s or 2m.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every alert to this file, one a line.")
    ] = None,
    headless: Annotated[
        bool | None, typer.Option(help="Plain lines, not a live view; the default where there is no terminal.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a parameter; path=value: any value of the manifest.")
    ] = None,
    loop: Annotated[bool, typer.Option(help="Files used as cameras start again at their end.")] = False,
    state: Annotated[
        Path | None, typer.Option(help="Where journal, outbox and logs are kept; default ~/.local/state/vedette/NAME.")
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="HOST:PORT of an MQTT broker that stands for IoT Core (mutual TLS).")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="With --broker: certificate of its authority.")] = None,
    cert: Annotated[Path | None, typer.Option(help="With --broker: this device's certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="With --broker: this device's private key.")] = None,
    lite: Annotated[bool, typer.Option(help="Behave as nucleus lite does, quirks included.")] = False,
) -> None:
    """Run an application on this machine: real cameras in, alerts out, nothing in the cloud.

    Plain lines: alerts go to standard output, everything else to standard error. Ends with Ctrl-C, after --for, or
    when every camera is a recording that is at its end.

    Examples:
        vedette run examples/people_flow/vedette.yaml --camera hall=rtsp://user:password@10.0.0.7/stream

        vedette run vedette.yaml --camera gate=recording.mp4 --loop --for 60s --json alerts.jsonl --headless
    """
    hide_credentials()
    limit_s = None if for_ is None else parse_duration(for_)
    application = with_overrides(load_manifest(manifest), set_ or [])
    application = with_resolved_models(application, manifest_path(manifest).resolve().parent, ModelStore.default())
    arguments = parse_camera_arguments(application, camera or [], sub_streams=sub or [], loop=loop)
    root = state or Path.home() / ".local" / "state" / "vedette" / application.name
    if json_file is not None:
        _check_writable(json_file)
    alerts_file = (json_file or root / "run-alerts.jsonl").resolve()
    settings = EdgeSettings(
        manifest=application,
        cameras=arguments.cameras,
        bindings=arguments.bindings,
        secrets=arguments.secrets,
        root=root.resolve(),
        alerts_file=alerts_file,
        iot=_broker(broker, ca, cert, key),
        thing_name=re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "laptop",
        lite_quirks=lite,
    )
    Session(settings).run(limit_s, headless=_no_terminal() if headless is None else headless)


def is_plain(console: Console) -> bool:
    """Whether a live view cannot be drawn here."""
    return not console.is_terminal or console.is_dumb_terminal


def _no_terminal() -> bool:
    return is_plain(Console()) or is_plain(Console(stderr=True))


def _check_writable(path: Path) -> None:
    """Make the file where it is missing.

    Raises:
        UsageError: V701, it cannot be written.
    """
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise UsageError(
            f"--json {path} cannot be written: {error.strerror}.", hint="Name a file in a folder that exists."
        ) from error


def _broker(broker: str | None, ca: Path | None, cert: Path | None, key: Path | None) -> BrokerIot | None:
    if broker is None:
        return None
    host, _, port = broker.rpartition(":")
    if not host or not port.isdigit() or ca is None or cert is None or key is None:
        raise UsageError("--broker HOST:PORT also needs --ca, --cert and --key: IoT Core speaks mutual TLS only.")
    return BrokerIot(host=host, port=int(port), ca_file=ca, cert_file=cert, key_file=key)
