"""What `vedette deploy APP` wants: an application with its bindings and parameters, on top of what runs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.component_versions import ComponentVersions
from vedette.adapters.aws.devices import Devices
from vedette.adapters.aws.published_application import published_application
from vedette.adapters.aws.publishing import Publication, Publisher
from vedette.adapters.aws.rollouts import Rollouts
from vedette.adapters.manifest import load_manifest
from vedette.adapters.manifest.application_tests import application_tests
from vedette.adapters.manifest.loading import MANIFEST_NAME, manifest_path
from vedette.cli.app_attach import assignments
from vedette.cli.deployment import Wanted, gate_policy, refuse_if_running
from vedette.cli.fleet_options import Target
from vedette.cli.publication import BuildChoice, built_tree, is_application, publisher, releases
from vedette.contracts.base import mistakes
from vedette.contracts.comparison import ComparisonPolicy
from vedette.contracts.errors import CloudError, UsageError
from vedette.contracts.manifest import Manifest
from vedette.contracts.rollout import ApplicationChange, ApplicationChoice, Override
from vedette.contracts.rollout_api import Plan
from vedette.contracts.versions import APPLICATION_PREFIX
from vedette.core.fleet.choice import checked, choice, common, unknown_cameras
from vedette.core.fleet.device_item import health_of, text
from vedette.core.plan_candidates import not_compared

#: Devices that are asked which cameras they have; enough to see a wrong name.
_ASKED: Final = 500
_APP_HOST: Final = "vedette.AppHost"


@dataclass(frozen=True, slots=True)
class ApplicationOptions:
    """What was typed.

    Attributes:
        application: a directory, or a name that is in the account.
        version: of it; the newest where None.
        bind: ``CAMERA=SITE_CAMERA[,…]`` each.
        assign: ``NAME=VALUE`` each.
        fresh: keep nothing of what the rings say of it.
        build: what it is built for.
        timing: fields of the gate's policy.
        frames: compared on each device.
        compare_s: after which a device tells what it has, seconds.
        without_tests: why they are passed over.
        app_python: interpreter of Panorama code in them; None: the application's own, or this one.
        without_comparison: why there is none.
        trust_code: its code may run unconfined.
    """

    application: str
    version: str | None = None
    bind: Sequence[str] = ()
    assign: Sequence[str] = ()
    fresh: bool = False
    build: BuildChoice = field(default_factory=BuildChoice)
    timing: dict[str, int] | None = None
    frames: int | None = None
    compare_s: int = 3600
    without_tests: str | None = None
    app_python: Path | None = None
    without_comparison: str | None = None
    trust_code: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """The application.

    Attributes:
        name: of it.
        version: to be deployed.
        manifest: None where it is not known here.
        tested: whether it has tests.
        check: its tests.
    """

    name: str
    version: str
    manifest: Manifest | None
    tested: bool
    check: Callable[[], None] | None = None


def wanted_application(
    account: Account, rollouts: Rollouts, target: Target, options: ApplicationOptions, stack: ExitStack
) -> Wanted:
    """Everything that is known before the operator is asked; nothing is changed.

    Args:
        account: the fleet is in.
        rollouts: of it.
        target: whom it is about.
        options: what was typed.
        stack: keeps what was built until it is published.

    Raises:
        ConfigurationError: V101, V102, V104 or V106: manifest, bindings or parameters.
        CloudError: V009, V014; V001 to V003.
        UsageError: V701, V708.
    """
    console = Console(stderr=True, highlight=False)
    bindings, parameters = _bindings(options.bind), _parameters(options.assign)
    path = Path(options.application)
    own = is_application(path)
    found = _from_directory(path, options, console) if own else _from_account(account, options)
    change = ApplicationChange(name=found.name, to=None)
    now = rollouts.plan(target.fleet, change, rings=target.rings)
    refuse_if_running(now)
    _check_code(account, rollouts, target, found, options)
    before = _before(now, target, options, given=bool(bindings or parameters))
    to = choice(found.version, before, bindings, parameters)
    notes = list(_hook_notes(found, options))
    if found.manifest is not None:
        to = checked(found.manifest, to)
        notes += _camera_notes(account, target, to, found.manifest)
    elif to.bindings or to.parameters:
        notes.append("Its manifest cannot be read here: bindings and parameters are not checked before the devices do.")
    policy_values, comparison_note = _comparison(now, found, options)
    notes.append(comparison_note)
    overrides = tuple(_overrides(found, options))
    # What takes long comes last: a mistake in a name or a value is told before anything is built.
    publication = _publication(account, path, options, stack, console) if own else None
    return Wanted(
        target=target,
        change=change.model_copy(update={"to": to}),
        now=now,
        policy=gate_policy(**(options.timing or {}), **policy_values),
        overrides=overrides,
        notes=tuple(notes),
        publisher=publication,
        check=found.check,
        console=console,
    )


def _from_directory(path: Path, options: ApplicationOptions, console: Console) -> _Found:
    manifest = load_manifest(path)
    if options.version not in (None, manifest.version):
        raise UsageError(
            f"--version {options.version}: {path} holds {manifest.name} {manifest.version}.",
            hint=f"For a version that is in the account name the application: vedette deploy {manifest.name} …",
        )
    tests = application_tests(manifest_path(path))

    def check() -> None:
        if options.without_tests is not None:
            return
        if not tests:
            console.print(
                f"{escape(manifest.name)} has no tests: nothing has shown what it reports. docs/applications.md",
                soft_wrap=True,
            )
            return
        from vedette.cli.app_test import check as run_tests

        # Standard output is for the answer alone.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                run_tests(path, clips=list(options.build.clips), strict=True, app_python=options.app_python)
            except UsageError as error:
                raise UsageError(
                    error.message,
                    hint="Recordings are looked for beside the tests, in --clips and in VEDETTE_DATA. "
                    "To pass the tests over: --without-tests REASON, which is recorded.",
                    code=error.code,
                ) from None

    return _Found(manifest.name, manifest.version, manifest, bool(tests), check)


def _publication(
    account: Account, path: Path, options: ApplicationOptions, stack: ExitStack, console: Console
) -> tuple[Publisher, Publication]:
    """What of an application's directory has to be published; it is built here."""
    built = stack.enter_context(
        built_tree(path, options.build, lambda text: console.print(escape(text), soft_wrap=True))
    )
    made = publisher(account)
    return made, made.plan(releases(built))


def _from_account(account: Account, options: ApplicationOptions) -> _Found:
    name, versions = options.application, ComponentVersions(account)
    component = f"{APPLICATION_PREFIX}{name}"
    if "/" in name or Path(name).exists():
        raise UsageError(
            f"{name}: there is no {MANIFEST_NAME} in it.", hint="Name an application's directory, or its name alone."
        )
    version = options.version or versions.newest(component)
    if version is None or (options.version and versions.state(component, version) is None):
        raise CloudError(
            f"there is no application {name!r}{f' {options.version}' if options.version else ''} in the account, "
            "and no directory of that name here.",
            hint="Publish it: vedette publish DIR, or name its directory.",
            code="V009",
        )
    about = published_application(account, name, version)
    return _Found(name, version, about.manifest, about.tested)


def _before(now: Plan, target: Target, options: ApplicationOptions, *, given: bool) -> ApplicationChoice | None:
    """What is kept: bindings and parameters that the rings have."""
    choices = [ring.now.to for ring in now.rings if isinstance(ring.now, ApplicationChange)]
    before, alike = common(choices)
    if options.fresh:
        return None
    if not alike:
        raise UsageError(
            f"the rings of {target} have different bindings or parameters of {options.application}, "
            "so it is not clear what to keep.",
            hint="One ring at a time: --rings RING. Or everything anew: --fresh"
            + (" with your --bind, --set" if given else ""),
        )
    return before


def _comparison(now: Plan, found: _Found, options: ApplicationOptions) -> tuple[dict[str, Any], str]:
    """Whether the first ring compares, and that in words."""
    there = [ring.now.to for ring in now.rings if isinstance(ring.now, ApplicationChange) and ring.now.to is not None]
    newer = any(one.version != found.version for one in there)
    policy = _comparison_policy(options)
    if options.without_comparison is not None:
        return {}, "No comparison before devices take it."
    if newer or (there and options.frames is not None):
        if found.manifest is not None and (why := not_compared(found.manifest)):
            tests = "its own tests on the first ring and" if found.tested else "only"
            return {"comparison": policy}, f"{why}: {tests} the health of the devices decide."
        return (
            {"comparison": policy},
            f"First the new version runs beside the old one on the first ring, without alerts, for {policy.frames:,} "
            "pictures a device; it goes on where both see the same.",
        )
    if not there and found.tested:
        return {"comparison": policy}, "First the devices of the first ring run its tests."
    return {}, "Nothing to compare: " + ("the version stays." if there else "it runs nowhere yet and has no tests.")


def _comparison_policy(options: ApplicationOptions) -> ComparisonPolicy:
    frames = {} if options.frames is None else {"frames": options.frames}
    try:
        return ComparisonPolicy(timeout_s=options.compare_s, **frames)
    except ValidationError as error:
        wrong = "; ".join(mistakes(error)).replace("timeout_s", "--compare-timeout, seconds")
        raise UsageError(f"nothing can be compared so: {wrong}.") from None


def _overrides(found: _Found, options: ApplicationOptions) -> list[Override]:
    made = []
    for check, reason in (("tests", options.without_tests), ("comparison", options.without_comparison)):
        if reason is not None:
            made.append(_override(check, reason))
    if options.trust_code and found.manifest is not None and found.manifest.own_code:
        made.append(_override("code", f"may run unconfined: {', '.join(found.manifest.own_code)}"))
    return made


def _override(check: Any, reason: str) -> Override:
    if not reason.strip() or len(reason) > 400:
        raise UsageError(
            f"--without-{check} wants the reason, in 1 to 400 characters: it is recorded with the rollout."
        )
    return Override(check=check, reason=reason.strip())


def _check_code(
    account: Account, rollouts: Rollouts, target: Target, found: _Found, options: ApplicationOptions
) -> None:
    """Code of an application goes where it may run unconfined only if the operator says so, which is recorded.

    Whether a machine can confine it only the machine knows: one that cannot refuses the code, unless its ring is
    configured with ``trustCode``. So that configuration is what is looked at.
    """
    if options.trust_code or found.manifest is None or not found.manifest.own_code:
        return
    rings = (text(Devices(account).item(target.device), "ring"),) if target.device else target.rings
    trusting = [
        state.ring
        for state in rollouts.desired(target.fleet)
        if (not rings or state.ring in rings)
        and (host := state.components.get(_APP_HOST)) is not None
        and str(host.configuration.get("trustCode", False)).lower() == "true"
    ]
    if trusting:
        raise UsageError(
            f"{found.name} has code of its own, and ring {', '.join(trusting)} runs code also where it cannot be "
            f"confined ({_APP_HOST}: trustCode).",
            hint="If that is meant: --trust-code, which is recorded. See docs/hooks.md.",
        )


def _hook_notes(found: _Found, options: ApplicationOptions) -> list[str]:
    if found.manifest is None or not found.manifest.own_code:
        return ["--trust-code is of no effect: the application has no code of its own."] if options.trust_code else []
    names = ", ".join(found.manifest.own_code)
    return [f"It has code of its own ({names}), which devices confine; one that cannot refuses it (docs/hooks.md)."]


def _camera_notes(account: Account, target: Target, to: ApplicationChoice, manifest: Manifest) -> list[str]:
    """A warning about cameras that nobody knows; devices that told nothing yet say nothing either."""
    devices = Devices(account)
    items = [devices.item(target.device)] if target.device else islice(devices.of_fleet(target.fleet), _ASKED)
    told = [health for item in items if (health := health_of(item)) is not None]
    known = sorted({name for health in told for name in health.cameras})
    missing = unknown_cameras(to, manifest, known)
    if not told or not missing:
        return []
    listed = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
    who = f"{target} has not told" if target.device else f"no device of {target} has told"
    return [f"Warning: {who} of camera {', '.join(missing)}; there are: {listed or 'none'}."]


def _bindings(arguments: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for argument in arguments:
        name, sign, cameras = argument.partition("=")
        if not sign or not name or name in found:
            raise UsageError(
                f"--bind {argument!r} {'is given twice' if name in found else 'is not CAMERA=SITE_CAMERA'}.",
                hint="For example --bind gate=cam-12, or gate=cam-12,cam-13 for several.",
            )
        found[name] = tuple(filter(None, (one.strip() for one in cameras.split(","))))
    return found


def _parameters(arguments: Sequence[str]) -> dict[str, Any]:
    """An empty value takes the manifest's again."""
    return {name: value if value != "" else None for name, value in assignments(arguments).items()}
