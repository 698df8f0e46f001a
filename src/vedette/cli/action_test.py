"""``vedette action test``: one clearly marked test alert through one action of a manifest."""

from __future__ import annotations

import json
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from vedette.adapters.manifest import load_manifest
from vedette.adapters.secrets import SecretStore
from vedette.compose.receivers import Surroundings
from vedette.compose.trial import effect, send, trial_alert
from vedette.contracts.errors import DeliveryError, UsageError
from vedette.contracts.manifest import Action, Manifest, SignalBase
from vedette.core.manifest_checks import near_miss
from vedette.core.parameters import with_parameters
from vedette.local.overrides import split_assignments, with_overrides
from vedette.local.secretfile import read_secrets


def try_out(
    manifest: Annotated[Path, typer.Argument(help="vedette.yaml, or the directory it lies in.")],
    name: Annotated[str, typer.Argument(help="Which of its actions.")],
    secrets: Annotated[
        Path | None,
        typer.Option(help='JSON file {"NAME": {"username": "…", …}}, mode 0600; or give none where none is needed.'),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Where relative paths of `file` actions begin; default: this directory.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a parameter; path=value: any value of the manifest.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Switch outputs without asking.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Send one test alert through one action, now, from this machine, and say what the receiver said.

    Its rule is called `test` and its message begins with TEST. Signals are given at once, whatever `after_s` says; as
    something moves then, it is asked first. Nothing is queued and nothing tried again. Ends with 0 where the receiver
    has the alert, else with 1.

    Examples:
        vedette action test vedette.yaml guards --secrets secrets.json

        vedette action test vedette.yaml ejector --yes
    """
    application = load_manifest(manifest)
    values, places = split_assignments(application, set_ or [])
    application = with_parameters(with_overrides(application, places), values)
    plan = _find(application, name)
    if isinstance(plan, SignalBase) and not yes:
        _ask(name, plan)
    device = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "laptop"
    alert = trial_alert(application, name, device)
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        store = SecretStore(_secrets(secrets), Path(folder))
        said = send(
            f"{application.name}/{name}", plan, alert, Surroundings((state or Path.cwd()).resolve(), device, store)
        )
    took_s = time.monotonic() - begun_s
    if json_:
        document = {"action": name, "type": plan.type, "alert_id": alert.alert_id, "said": said}
        print(json.dumps({**document, "seconds": round(took_s, 3)}))
    else:
        print(f"{name} ({plan.type}): {said}, in {took_s:.2f} s. Alert {alert.alert_id}.")


def _find(application: Manifest, name: str) -> Action:
    plan = application.actions.get(name)
    if plan is None:
        near = near_miss(name, application.actions)
        raise UsageError(
            f"application {application.name} has no action {name!r}; its actions: {', '.join(application.actions)}.",
            hint=f"Meant {near}?" if near else "",
        )
    if plan.type == "iot_core":
        raise UsageError(
            f"action {name!r} goes to the cloud through the device's nucleus, which this command does not have.",
            hint="`vedette run` shows what would be sent; `vedette status` on the device shows what was acknowledged.",
        )
    return plan


def _ask(name: str, plan: SignalBase) -> None:
    """Let a person say whether something may move.

    Raises:
        UsageError: V701, there is nobody to ask, or the answer was no.
    """
    words = f"This {effect(plan)}."
    if not sys.stdin.isatty():
        raise UsageError(f"action {name!r} is a signal. {words} There is nobody to ask.", hint="Add --yes to do it.")
    if not typer.confirm(f"{words} Do it?", err=True):
        raise UsageError("nothing was switched.")


def _secrets(path: Path | None) -> Callable[[str], Mapping[str, str]]:
    """What the nucleus is asked on a device."""
    known = read_secrets(path) if path is not None else {}

    def ask(name: str) -> dict[str, str]:
        if name not in known:
            where = f"{path} has no secret {name!r}" if path is not None else f"the secret {name!r} is needed"
            raise DeliveryError(
                f"{where}.",
                hint=f'Give --secrets FILE, JSON of mode 0600: {{"{name}": {{"username": "…", "password": "…"}}}}.',
                code="V503",
            )
        return known[name]

    return ask
