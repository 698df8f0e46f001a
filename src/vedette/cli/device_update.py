"""``vedette device update``: another nucleus or runtime for devices, with probation and a way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.jobs import DeviceJobs
from vedette.adapters.aws.rollouts import Rollouts
from vedette.cli.device_jobs import Target, default_limit_s, resolved, run_job, target
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import CloudError, UsageError
from vedette.contracts.rollout import ComponentChange, ComponentChoice

#: The classic nucleus, as a component of AWS's.
_CLASSIC: Final = "aws.greengrass.Nucleus"


def update(
    device: Annotated[str | None, typer.Option(help="Name or serial number of one device.")] = None,
    fleet: Annotated[str | None, typer.Option(help="All devices of a fleet, ring by ring.")] = None,
    ring: Annotated[list[str] | None, typer.Option("--ring", help="With --fleet: these rings only.")] = None,
    nucleus_package: Annotated[Path | None, typer.Option(help="Nucleus lite: its .deb.")] = None,
    runtime: Annotated[Path | None, typer.Option(help="A Python of 3.11 or later: .tar.gz with bin/python3.")] = None,
    classic_nucleus: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Classic nucleus: a version of aws.greengrass.Nucleus.")
    ] = None,
    version: Annotated[str | None, typer.Option("--to", metavar="VERSION", help="Which version that is.")] = None,
    probation: Annotated[
        int, typer.Option(min=10, max=86400, help="Seconds for which a device must be well with it.")
    ] = 600,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until every device is well with it, or has it taken back.")
    ] = False,
    limit: Annotated[float | None, typer.Option(min=1, help="With --wait: seconds for each ring.")] = None,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Update nucleus lite or the Python of devices. A device that is not well with it puts back what it had.

    The package is uploaded to the account and signed with the stage's key; devices take nothing else. Rings go one
    after the other, and the next begins only if no device of the one before failed. The classic nucleus is a component:
    it is updated by a rollout, with the rollout's gate and way back.

    Examples:
        vedette device update --fleet main --nucleus-package aws-greengrass-lite-2.6.1-Linux.deb --to 2.6.1 --wait

        vedette device update --device SN-2041 --runtime python-3.11.14.tar.gz --to 3.11.14 --probation 900 --wait

        vedette device update --fleet main --classic-nucleus 2.14.3 --wait
    """
    whom = target(device, fleet, ring)
    if sum(one is not None for one in (nucleus_package, runtime, classic_nucleus)) != 1:
        raise UsageError(
            "one of --nucleus-package, --runtime and --classic-nucleus is needed.",
            hint="See: vedette device update --help",
        )
    if classic_nucleus is not None:
        _roll_out(Account(stage), whom, classic_nucleus, wait=wait, json_=json_)
        return
    if version is None:
        raise UsageError("--to is needed: which version the package brings.", hint="Such as: --to 2.6.1")
    account = Account(stage)
    kind, file = ("nucleus", nucleus_package) if nucleus_package is not None else ("runtime", runtime)
    assert file is not None
    targets = resolved(account, whom, wait=wait)
    job = DeviceJobs(account).update(file, kind, version, probation_s=probation)
    run_job(account, job, whom, targets, wait=wait, limit_s=limit or default_limit_s(job), json_=json_)


def _roll_out(account: Account, whom: Target, version: str, *, wait: bool, json_: bool) -> None:
    """The classic nucleus by a rollout; its configuration stays what the rings have."""
    if whom.fleet is None:
        raise UsageError(
            "--classic-nucleus is for a fleet: a device has its nucleus from its ring.", hint="Add --fleet."
        )
    rollouts = Rollouts(account)
    chosen = {
        state.components[_CLASSIC].model_copy(update={"version": version}).model_dump_json(): state.ring
        for state in rollouts.desired(whom.fleet)
        if _CLASSIC in state.components and (not whom.rings or state.ring in whom.rings)
    }
    if len(chosen) > 1:
        raise CloudError(
            f"rings configure {_CLASSIC} differently: {', '.join(chosen.values())}.",
            hint="One ring at a time: --ring",
            code="V021",
        )
    choice = ComponentChoice.model_validate_json(next(iter(chosen), json.dumps({"version": version})))
    plan = rollouts.plan(whom.fleet, ComponentChange(to={_CLASSIC: choice}), rings=whom.rings)
    begun = rollouts.start(plan)
    if wait:
        for now in rollouts.follow(begun.rollout_id):
            begun = now
            if not json_:
                print(" · ".join(f"{step.ring} {step.status.value}" for step in now.rings))
    if json_:
        print(begun.model_dump_json())
    elif not wait:
        print(f"Rollout {begun.rollout_id} has begun.")
