"""``vedette run``: applications on this machine, with the processes, recipes and messages of a device."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from vedette.adapters.manifest import load_manifest
from vedette.adapters.manifest.loading import manifest_path
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.cli.argv import hide_credentials
from vedette.cli.session import Session
from vedette.contracts.base import IDENTIFIER_PATTERN
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Manifest, ParameterValue
from vedette.contracts.privacy import Privacy
from vedette.core.parameters import with_parameters
from vedette.local.camera_arguments import parse_device_arguments
from vedette.local.core import BrokerIot
from vedette.local.edge import EdgeSettings, RunApplication
from vedette.local.overrides import by_application, split_assignments, with_overrides
from vedette.local.secretfile import read_secrets

#: A hundred years: as good as for ever, and a number every clock can take.
_LONGEST_S: Final = 3.2e9
#: Names of folders with sockets in them: those take 107 bytes in all.
_LONGEST_NAME: Final = 40
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
    manifests: Annotated[
        list[Path], typer.Argument(help="vedette.yaml, or the directory it lies in; several run side by side.")
    ],
    camera: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=URL or NAME=FILE; once per camera, for all that name it. The same NAME again: one more."
        ),
    ] = None,
    bind: Annotated[
        list[str] | None, typer.Option(help="APP.CAMERA=NAME: where an application calls a camera differently.")
    ] = None,
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
        Path | None, typer.Option(help="Where journal, outbox and logs are kept; default ~/.local/state/vedette/NAMES.")
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="HOST:PORT of an MQTT broker that stands for IoT Core (mutual TLS).")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="With --broker: certificate of its authority.")] = None,
    cert: Annotated[Path | None, typer.Option(help="With --broker: this device's certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="With --broker: this device's private key.")] = None,
    thing: Annotated[
        str | None,
        typer.Option(help="This device's name in the account; the host's where absent."),
    ] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run applications' own code also where it cannot be confined.")
    ] = False,
    app_python: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[APP=]PATH",
            help="Interpreter of Panorama code; else that of the folder venv beside its manifest, else this one.",
        ),
    ] = None,
    privacy_ceiling: Annotated[
        Privacy, typer.Option(help="What pictures of alerts may show at most, whatever applications ask for.")
    ] = Privacy.BLUR,
    face_model: Annotated[
        str, typer.Option(help="A stored model that finds faces, for covering them in pictures of alerts.")
    ] = "",
    person_model: Annotated[str, typer.Option(help="Likewise one that finds people.")] = "",
    lite: Annotated[bool, typer.Option(help="Behave as nucleus lite does, quirks included.")] = False,
    secrets: Annotated[
        Path | None, typer.Option(help='Secrets of receivers: JSON {"NAME": {"username": "…", …}}, mode 0600.')
    ] = None,
) -> None:
    """Run applications on this machine: real cameras in, alerts out, nothing in the cloud.

    Several applications share what they can: each camera is decoded once, each model is loaded once.

    Plain lines: alerts go to standard output, everything else to standard error. Ends with Ctrl-C, after --for, or
    when every camera is a recording that is at its end. The exit status is 1 where a model had failed or a component
    was broken at the end.

    Examples:
        vedette run examples/people_flow/vedette.yaml --camera hall=rtsp://user:password@10.0.0.7/stream

        vedette run vedette.yaml --camera gate=recording.mp4 --loop --for 60s --json alerts.jsonl --headless

        vedette run shop/ safety/ --camera gate=rtsp://10.0.0.7/s --bind safety.dock=gate --set shop.patience_s=30

        vedette run counter/ --camera front=rtsp://10.0.0.7/s --camera front=rtsp://10.0.0.8/s

        vedette run counter/ --camera front=rtsp://10.0.0.7/s --app-python ~/old/venv/bin/python3.8
    """
    hide_credentials()
    limit_s = None if for_ is None else parse_duration(for_)
    loaded = [(path, load_manifest(path)) for path in manifests]
    chosen, values = _with_assignments(loaded, set_ or [])
    arguments = parse_device_arguments(chosen, camera or [], binds=bind or [], sub_streams=sub or [], loop=loop)
    applications = tuple(
        RunApplication(
            manifest=manifest,
            bindings=arguments.bindings[manifest.name],
            parameters=values[manifest.name],
            directory=manifest_path(path).resolve().parent,
        )
        for (path, _), manifest in zip(loaded, chosen, strict=True)
    )
    root = state or Path.home() / ".local" / "state" / "vedette" / run_name([manifest.name for manifest in chosen])
    if json_file is not None:
        _check_writable(json_file)
    alerts_file = (json_file or root / "run-alerts.jsonl").resolve()
    store = ModelStore.default()
    for name in filter(None, (face_model, person_model)):
        store.path(name)  # now, not at the first alert
    settings = EdgeSettings(
        applications=applications,
        cameras=arguments.cameras,
        secrets={**_receiver_secrets(secrets, chosen), **arguments.secrets},
        root=root.resolve(),
        alerts_file=alerts_file,
        model_directory=store.directory.resolve(),
        iot=_broker(broker, ca, cert, key),
        thing_name=_thing(thing),
        lite_quirks=lite,
        trust_code=trust_code,
        privacy_ceiling=privacy_ceiling,
        face_model=face_model,
        person_model=person_model,
        app_python=_interpreters(app_python or [], chosen),
    )
    if not Session(settings).run(limit_s, headless=_no_terminal() if headless is None else headless):
        raise typer.Exit(1)


def _interpreters(options: Sequence[str], manifests: Sequence[Manifest]) -> dict[str, Path]:
    """``--app-python`` as application → interpreter.

    Raises:
        UsageError: V701, no application of this run has such a name, or Panorama code; or there is no such file.
    """
    names = [manifest.name for manifest in manifests if manifest.panorama is not None]
    found: dict[str, Path] = {}
    for option in options:
        name, equals, path = option.partition("=")
        chosen = [name] if equals else names
        if not set(chosen) <= set(names) or not chosen:
            known = ", ".join(names) or "none"
            raise UsageError(f"--app-python {option}: applications with Panorama code are: {known}.")
        interpreter = Path(path if equals else option).expanduser()
        if not interpreter.is_file():
            raise UsageError(f"--app-python {option}: there is no file {interpreter}.")
        found |= dict.fromkeys(chosen, interpreter.absolute())
    return found


def _thing(name: str | None) -> str:
    """The name given, or the host's with what no name may hold replaced.

    Raises:
        UsageError: V701, the name is not allowed.
    """
    if name is None:
        return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "laptop"
    if not re.fullmatch(IDENTIFIER_PATTERN, name):
        raise UsageError(f"--thing: {name!r} is no device's name; letters, digits, - and _ are allowed, 64 at most.")
    return name


def _receiver_secrets(path: Path | None, manifests: Sequence[Manifest]) -> dict[str, dict[str, str]]:
    """The file's secrets; what is missing in it is told, and its alerts wait.

    Raises:
        CoreError: V503, the file is missing, readable by others or damaged.
    """
    known = read_secrets(path) if path is not None else {}
    for manifest in manifests:
        for name, action in manifest.actions.items():
            wanted = getattr(action, "secret", None)
            if wanted is not None and wanted not in known:
                typer.echo(
                    f"action {name} of {manifest.name} needs the secret {wanted!r}, which is in no --secrets file: "
                    "its alerts wait (V503)",
                    err=True,
                )
    return known


def run_name(names: Sequence[str]) -> str:
    """Names the folder of a run: that of its application, or of all of them; the same set, the same name."""
    joined = "+".join(sorted(names))
    if len(joined) <= _LONGEST_NAME:
        return joined
    digest = hashlib.sha256(joined.encode()).hexdigest()[:8]
    return f"{sorted(names)[0][: _LONGEST_NAME - 24]}+{len(names) - 1}-more-{digest}"


def _with_assignments(
    loaded: Sequence[tuple[Path, Manifest]], assignments: Sequence[str]
) -> tuple[list[Manifest], dict[str, dict[str, ParameterValue]]]:
    """The manifests as they are run, models resolved, and the values of their parameters.

    Raises:
        UsageError: V701, a name twice, or an assignment that is no application's or more than one's.
        ConfigurationError: V106, a value that a parameter does not allow.
        ModelError: V301, see ``with_resolved_models``.
    """
    names = [manifest.name for _, manifest in loaded]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two of these applications are called {name!r}; give one of them another `name`.")
    shared = by_application([manifest for _, manifest in loaded], assignments)
    store = ModelStore.default()
    chosen: list[Manifest] = []
    values: dict[str, dict[str, ParameterValue]] = {}
    for path, manifest in loaded:
        values[manifest.name], places = split_assignments(manifest, shared[manifest.name])
        changed = with_overrides(manifest, places)
        with_parameters(changed, values[manifest.name])  # now, not when its component is running
        chosen.append(with_resolved_models(changed, manifest_path(path).resolve().parent, store))
    return chosen, values


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
