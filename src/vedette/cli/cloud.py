"""``vedette cloud``: the account on this machine, up, looked at and down again."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.cli.tables import key_value_table, plain_table
from vedette.contracts.account import DEFAULT_STAGE, stack
from vedette.contracts.errors import CloudError, UsageError
from vedette.local.cloud import lifecycle, view
from vedette.local.cloud.cdk import Cdk, Target
from vedette.local.cloud.lifecycle import Running

DEFAULT_PORT: Final = 5555
DEFAULT_REGION: Final = "us-east-1"
#: Settings of the last deployment.
_SETTINGS: Final = "settings.json"
#: Files that the sandbox writes into its directory; nothing else there is touched.
_WRITTEN: Final = (
    *("broker", "cdk.log", "cdk.out", "code", "functions"),
    *("sandbox.json", "server.log", _SETTINGS, "training"),
)
_SHOWN_PROBLEMS: Final = 5
#: Settings that every deployment on this machine has: functions that it can run, and nothing kept.
_HERE: Final = {"lambda_platform": "host", "keep_data": False}
_DONE: Final = re.compile(r"✅\s+(\S+?):?(?:\s+\((no changes)\)|\s+(destroyed))?$")

Directory = Annotated[Path | None, typer.Option("--directory", help="Its files; default ~/.local/state/vedette/cloud.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the server, on loopback.")] = DEFAULT_PORT,
    directory: Directory = None,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the stacks; a value may be JSON."),
    ] = None,
    json_: AsJson = False,
) -> None:
    """Start an AWS account on this machine and deploy every stack into it; again after a change, only what changed.

    It is moto's server with what it lacks: stacks, functions, state machines, rules and queues really run, on loopback,
    without an AWS account and without cost. Its state is in memory and ends with it. docs/sandbox.md says what that
    proves and what not.

    Examples:
        vedette cloud up

        vedette cloud up --set 'fleets=[{"name":"main"},{"name":"north"}]' --set ledger_days=7

        eval "$(vedette cloud env)" && vedette doctor --cloud
    """
    home, began = _home(directory), time.monotonic()
    context = {**_HERE, "stage": stage, **_settings(set_ or [])}
    say = _quiet if json_ else print
    running = _server(home, port, stage, say)
    (home / _SETTINGS).write_text(json.dumps(context))
    cdk = Cdk(_target(running, home, context), lambda line: _progress(line, stage, say))
    cdk.bootstrap()
    cdk.deploy()
    states = view.stacks(running)
    if json_:
        document = {
            **asdict(running),
            "endpoint": running.endpoint,
            "stacks": states,
            "environment": running.environment(),
        }
        print(json.dumps(document))
        return
    print(
        f"{len(states)} stacks in {time.monotonic() - began:.0f} s, at {running.endpoint}. Nothing in it outlives it."
    )
    print("\nTo use it from this shell, then look at it:\n")
    print(_exports(running))
    print(f"vedette cloud status{_option(directory)}")


def status(directory: Directory = None, json_: AsJson = False) -> None:
    """What the account on this machine holds and did. Ends with 1 where a stack is not complete.

    Examples:
        vedette cloud status
    """
    running = _running(_home(directory))
    states, ran = view.stacks(running), view.invocations(running)
    alerts, wrong = view.alerts(running), view.problems(running, _SHOWN_PROBLEMS)
    if json_:
        counted = {name: {"ran": n, "failed": failed} for name, (n, failed) in ran.items()}
        document = {**asdict(running), "stacks": states, "functions": counted, "alerts": alerts, "problems": wrong}
        print(json.dumps(document))
    else:
        _print_status(running, states, ran, alerts, wrong)
    complete = states and all(state in ("CREATE_COMPLETE", "UPDATE_COMPLETE") for state in states.values())
    raise typer.Exit(0 if complete else 1)


def env(directory: Directory = None) -> None:
    """Print the variables by which AWS's tools and vedette find the account on this machine, for a shell to read.

    Examples:
        eval "$(vedette cloud env)"
    """
    print(_exports(_running(_home(directory))))


def down(
    directory: Directory = None,
    destroy: Annotated[
        bool, typer.Option(help="First let the CDK destroy every stack, as in an account; empties the buckets.")
    ] = False,
) -> None:
    """Stop the account on this machine; everything in it is gone.

    Examples:
        vedette cloud down

        vedette cloud down --destroy
    """
    home = _home(directory)
    running = lifecycle.found(home)
    if running is None:
        print("No sandbox is running.")
    elif destroy:
        view.empty_buckets(running)
        context, stage = _deployed(home, running), running.stage
        Cdk(_target(running, home, context), lambda line: _progress(line, stage, print)).destroy()
        left = view.stacks(running)
        if left:
            raise CloudError(f"stacks are left: {', '.join(sorted(left))}.", code="V004")
    if lifecycle.stop(home) is not None:
        print("The sandbox is stopped.")
    for name in _WRITTEN:
        path = home / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _home(directory: Path | None) -> Path:
    return (directory or Path.home() / ".local" / "state" / "vedette" / "cloud").absolute()


def _running(home: Path) -> Running:
    running = lifecycle.found(home)
    if running is None:
        raise CloudError("no sandbox is running.", hint="Type: vedette cloud up", code="V004")
    return running


def _server(home: Path, port: int, stage: str, say: Any) -> Running:
    """The server that runs already, or a new one."""
    running = lifecycle.found(home)
    if running is None:
        say(f"Starting the account on port {port} …")
        return lifecycle.start(home, port=port, region=DEFAULT_REGION, stage=stage)
    if (running.port, running.stage) != (port, stage):
        raise CloudError(
            f"a sandbox runs on port {running.port} with stage {running.stage!r} already.",
            hint="vedette cloud down, or another --directory.",
            code="V004",
        )
    return running


def _target(running: Running, home: Path, context: dict[str, Any]) -> Target:
    account = str(running.ask("/vedette/state")["account"])
    return Target(account, running.region, running.environment(), home, context)


def _settings(pairs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.isidentifier():
            raise UsageError(f"--set {pair!r} is not KEY=VALUE.", hint="Keys are those of docs/cloud.md.")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _deployed(home: Path, running: Running) -> dict[str, Any]:
    """The settings of the last deployment: with others the app might not know a stack that is there."""
    try:
        found: dict[str, Any] = json.loads((home / _SETTINGS).read_text())
    except (OSError, ValueError):
        return {**_HERE, "stage": running.stage}
    return found


def _progress(line: str, stage: str, say: Any) -> None:
    done = _DONE.search(line)
    if done is not None and done[1].startswith(stack(stage, "")):
        say(f"  {done[1]}: {'no changes' if done[2] else done[3] or 'deployed'}")


def _quiet(_: str) -> None:
    """Say nothing."""


def _exports(running: Running) -> str:
    return "\n".join(f"export {key}={value}" for key, value in running.environment().items())


def _option(directory: Path | None) -> str:
    return "" if directory is None else f" --directory {directory}"


def _print_status(
    running: Running, states: dict[str, str], ran: dict[str, tuple[int, int]], alerts: int | None, wrong: list[str]
) -> None:
    console = Console(highlight=False)
    about = key_value_table()
    about.add_row("server", f"{running.endpoint}, process {running.pid}, since {running.started_at}")
    broker = running.ask("/vedette/state")["broker"]
    about.add_row("MQTT broker", f"mqtts://localhost:{broker}" if broker else "none; it needs mosquitto and awsiotsdk")
    about.add_row("region, stage", f"{running.region}, {running.stage}")
    about.add_row("alerts in the ledger", "no stack of alerts" if alerts is None else str(alerts))
    console.print(about)
    table = plain_table("stack", "state")
    for name, state in sorted(states.items()):
        table.add_row(escape(name), f"[{'green' if state.endswith('_COMPLETE') else 'red'}]{state}[/]")
    console.print(table)
    if ran:
        table = plain_table("function", "ran", "failed")
        for name, (times, failed) in sorted(ran.items()):
            table.add_row(escape(name), str(times), f"[red]{failed}[/]" if failed else "0")
        console.print(table)
    for problem in wrong:
        console.print(f"[red]problem[/] {escape(problem)}")
