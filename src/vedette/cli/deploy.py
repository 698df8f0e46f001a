"""``vedette deploy``: an application, or our own components, rolled out to a fleet or one device."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from vedette.adapters.aws.account import Account
from vedette.cli.deploy_application import ApplicationOptions, wanted_application
from vedette.cli.deploy_components import wanted_components
from vedette.cli.deployment import Manner, bring_out
from vedette.cli.fleet_options import (
    STAGE,
    Device,
    DryRun,
    Fleet,
    Json,
    Rings,
    Stage,
    Wait,
    Yes,
    askable,
    duration,
    rollouts,
    target,
    timing,
)
from vedette.cli.publication import BuildChoice
from vedette.contracts.errors import UsageError
from vedette.contracts.model_card import Target as Kind
from vedette.core.fleet.build_target import Accelerator, Platform


def deploy(
    application: Annotated[
        str | None, typer.Argument(metavar="APP", help="An application's directory, or its name in the account.")
    ] = None,
    fleet: Fleet = None,
    device: Device = None,
    rings: Rings = None,
    version: Annotated[str | None, typer.Option(help="Of an application in the account; its newest else.")] = None,
    components: Annotated[
        Path | None, typer.Option(help="Instead of an application: a tree of `vedette build` with our components.")
    ] = None,
    bind: Annotated[
        list[str] | None,
        typer.Option(metavar="CAMERA=SITE_CAMERA[,…]", help="A camera of the application: one or several."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; without VALUE the manifest's.")
    ] = None,
    configure: Annotated[
        list[str] | None,
        typer.Option(metavar="COMPONENT:KEY=VALUE", help="With --components: configuration; VALUE may be JSON."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Keep no bindings, parameters or configuration of what runs.")
    ] = False,
    soak: Annotated[str, typer.Option(help="How long enough devices must have run it.")] = "10m",
    timeout: Annotated[str, typer.Option(help="After which a ring is taken back.")] = "1h",
    check_every: Annotated[str, typer.Option(help="How often the gate looks.")] = "60s",
    compare_frames: Annotated[
        int | None, typer.Option(min=50, max=100_000, help="Pictures compared on each device of the first ring.")
    ] = None,
    compare_timeout: Annotated[str, typer.Option(help="After which devices tell what they have compared.")] = "1h",
    without_tests: Annotated[str | None, typer.Option(metavar="REASON", help="Pass the tests over; recorded.")] = None,
    without_comparison: Annotated[str | None, typer.Option(metavar="REASON", help="Compare nothing; recorded.")] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Its code may run where a device does not confine it; recorded.")
    ] = False,
    clips: Annotated[list[Path] | None, typer.Option(help="Folder of recordings for its tests.")] = None,
    app_python: Annotated[
        Path | None, typer.Option(help="Interpreter of Panorama code in its tests here; devices have their own.")
    ] = None,
    platform: Annotated[Platform | None, typer.Option(help="Of the devices, where it is built first.")] = None,
    accelerator: Annotated[Accelerator, typer.Option(help="Of the devices, likewise.")] = Accelerator.CPU,
    kind: Annotated[Kind | None, typer.Option("--target", help="Kind of device, likewise.")] = None,
    python_version: Annotated[str | None, typer.Option(help="Python on the devices, likewise.")] = None,
    libraries: Annotated[
        bool, typer.Option("--libraries/--no-libraries", help="Without: for devices whose image has them.")
    ] = True,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = True,
    stage: Stage = STAGE,
    json_: Json = False,
) -> None:
    """Roll an application out ring by ring: tested, published, planned, asked for, followed, taken back where it harms.

    A directory is built, and its own tests must pass. Bindings and parameters stay as they are unless given. In the
    first ring a new version is compared with the running one before it gives alerts. Ends with 0 when every ring has
    it, 1 when it was refused or taken back; Ctrl-C leaves the rollout going on.

    Examples:
        vedette deploy examples/people_flow --fleet main --bind hall=cam-1

        vedette deploy ./counter --fleet main --bind front_door=cam-1,cam-2

        vedette deploy people_flow --version 1.1.0 --fleet main --rings canary --set patience_s=30 --yes --no-wait

        vedette deploy people_flow --device SN-2041 --dry-run

        vedette deploy --components build/edge --fleet main --configure vedette.Alerting:logLevel=DEBUG
    """
    if (application is None) == (components is None):
        raise UsageError("name an application, or --components TREE, and not both.", hint="See: vedette deploy --help")
    pace = timing(soak, timeout, check_every)
    build = BuildChoice(platform, accelerator, kind, python_version, tuple(clips or ()), libraries)
    manner = Manner(dry_run=dry_run, yes=yes, wait=wait, as_json=json_)
    askable(yes=yes, dry_run=dry_run)
    account = Account(stage)
    about, made = target(account, fleet, device, rings), rollouts(account)
    with ExitStack() as stack:
        if components is not None:
            wanted = wanted_components(account, made, about, components, configure or (), pace, fresh=fresh)
        else:
            assert application is not None
            if configure:
                raise UsageError("--configure is for --components; an application has --bind and --set.")
            options = ApplicationOptions(
                application,
                version,
                *(bind or (), set_ or ()),
                fresh=fresh,
                build=build,
                timing=pace,
                frames=compare_frames,
                compare_s=duration(compare_timeout, "--compare-timeout"),
                without_tests=without_tests,
                app_python=app_python,
                without_comparison=without_comparison,
                trust_code=trust_code,
            )
            wanted = wanted_application(account, made, about, options, stack)
        bring_out(made, wanted, manner)
