"""What `vedette deploy --components TREE` wants: versions of our own components, with what they are configured with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.rollouts import Rollouts
from vedette.cli.deployment import Wanted, gate_policy
from vedette.cli.fleet_options import Target
from vedette.cli.publication import publisher, releases
from vedette.contracts.errors import UsageError
from vedette.contracts.rollout import ComponentChange, ComponentChoice
from vedette.contracts.rollout_api import Plan
from vedette.contracts.versions import APPLICATION_PREFIX, CANDIDATE_PREFIX
from vedette.local.building.tree import read_tree


def wanted_components(
    account: Account,
    rollouts: Rollouts,
    target: Target,
    tree: Path,
    configure: Sequence[str],
    timing: dict[str, int],
    *,
    fresh: bool,
) -> Wanted:
    """The versions of a tree, each with the configuration that the rings have, and what is given over that.

    Raises:
        UsageError: V701 an option does not fit, V708 the tree is not usable.
        CloudError: V009, V014; V001 to V003.
    """
    if target.device:
        raise UsageError("--components is for a fleet: a device has our components from its ring.")
    built = read_tree(tree)
    versions: dict[str, str] = {}
    for one in built:
        if one.name.startswith((APPLICATION_PREFIX, CANDIDATE_PREFIX)):
            continue
        if one.name in versions:
            raise UsageError(f"{tree} holds two versions of {one.name}.", hint="Build into an empty folder.")
        versions[one.name] = one.version
    if not versions:
        raise UsageError(f"{tree} holds no components of ours.", hint="An application: vedette deploy APP_DIR")
    given = _configuration(configure, versions)
    now = rollouts.plan(target.fleet, ComponentChange(to=dict.fromkeys(versions)), rings=target.rings)
    kept = {} if fresh else _kept(now, versions)
    change = ComponentChange(
        to={
            name: ComponentChoice(version=version, configuration={**kept.get(name, {}), **given.get(name, {})})
            for name, version in versions.items()
        }
    )
    made = publisher(account)
    return Wanted(
        target=target,
        change=change,
        now=now,
        policy=gate_policy(**timing),
        publisher=(made, made.plan(releases([one for one in built if one.name in versions]))),
    )


def _kept(now: Plan, names: dict[str, str]) -> dict[str, dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = {}
    for name in names:
        found = [
            choice.configuration
            for ring in now.rings
            if isinstance(ring.now, ComponentChange) and (choice := ring.now.to.get(name)) is not None
        ]
        if any(one != found[0] for one in found):
            raise UsageError(
                f"the rings configure {name} in different ways, so it is not clear what to keep.",
                hint="One ring at a time: --rings RING. Or everything anew: --fresh",
            )
        if found:
            kept[name] = dict(found[0])
    return kept


def _configuration(arguments: Sequence[str], names: dict[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for argument in arguments:
        place, sign, text = argument.partition("=")
        name, colon, key = place.partition(":")
        if not (sign and colon and key):
            raise UsageError(f"--configure {argument!r} is not COMPONENT:KEY=VALUE.")
        if name not in names:
            raise UsageError(f"--configure {argument!r}: the tree has {', '.join(sorted(names))}.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found.setdefault(name, {})[key] = value
    return found
