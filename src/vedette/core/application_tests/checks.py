"""What the types of a test file cannot say: names that the application has, paths that stay where they belong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from vedette.contracts.manifest import LineCrossed, Manifest
from vedette.core.manifest_checks.finding import Finding, Path, near_miss
from vedette.core.manifest_checks.plain import dicts, number, some

_COUNTING: Final = ("count", "count_changed")


def check_test(document: Mapping[str, Any], manifest: Manifest) -> list[Finding]:
    """Everything that is wrong with a test besides its types.

    Args:
        document: the test as plain values, right or wrong.
        manifest: of the application it is for.
    """
    return [*_clips(document, manifest), *_rules(document, manifest), *_alerts(document, manifest)]


def _clips(document: Mapping[str, Any], manifest: Manifest) -> Iterator[Finding]:
    for camera, clip in dicts(dict(document), "clips").items():
        yield from _known(("clips", camera), "camera", camera, tuple(manifest.cameras))
        file = clip.get("file")
        if isinstance(file, str) and (PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts):
            yield Finding(("clips", camera, "file"), f"{file!r} leads elsewhere", "a path below the test's folder")
    parameters = document.get("parameters")
    for name in parameters if isinstance(parameters, dict) else ():
        yield from _known(("parameters", name), "parameter", name, tuple(manifest.parameters))


def _rules(document: Mapping[str, Any], manifest: Manifest) -> Iterator[Finding]:
    rules = document.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        yield from _known(("rules", index), "rule", rule, _alerting(manifest))
    spans = document.get("none")
    for index, span in enumerate(spans if isinstance(spans, list) else ()):
        if not isinstance(span, dict):
            continue
        yield from _known(("none", index, "rule"), "rule", span.get("rule"), _alerting(manifest))
        yield from _known(("none", index, "camera"), "clip of camera", span.get("camera"), _with_clip(document))
        begin, end = number(span.get("from_s", 0)), number(span.get("to_s"))
        if begin is not None and end is not None and begin > end:
            yield Finding(("none", index, "to_s"), f"{end:g} is before from_s {begin:g}", "from_s at most to_s")


def _alerts(document: Mapping[str, Any], manifest: Manifest) -> Iterator[Finding]:
    alerts = document.get("alerts")
    about = document.get("rules")
    for index, expected in enumerate(alerts if isinstance(alerts, list) else ()):
        if not isinstance(expected, dict):
            continue
        at: Path = ("alerts", index)
        if ("at_s" in expected) == ("between_s" in expected):
            found = "both `at_s` and `between_s`" if "at_s" in expected else "neither `at_s` nor `between_s`"
            yield Finding((*at, *(("between_s",) if "at_s" in expected else ())), found, "exactly one of the two")
        yield from _span((*at, "between_s"), expected.get("between_s"))
        yield from _known((*at, "camera"), "clip of camera", expected.get("camera"), _with_clip(document))
        name = expected.get("rule")
        yield from _known((*at, "rule"), "rule", name, _alerting(manifest))
        if isinstance(about, list) and name in _alerting(manifest) and name not in about:
            yield Finding((*at, "rule"), f"rule {name!r} is not among the test's `rules`", ", ".join(map(str, about)))
        rule = manifest.rules.get(name) if isinstance(name, str) else None
        if rule is None:  # of a hook nobody knows what it tells
            continue
        camera = expected.get("camera")
        if camera in _with_clip(document) and camera in manifest.cameras and camera not in manifest.rule_cameras(rule):
            allowed = ", ".join(manifest.rule_cameras(rule))
            yield Finding((*at, "camera"), f"rule {name!r} does not watch camera {camera!r}", allowed)
        if "count" in expected and rule.type not in _COUNTING:
            yield Finding((*at, "count"), f"rule {name!r} ({rule.type}) counts nothing", "no `count`")
        if "direction" in expected and not isinstance(rule, LineCrossed):
            yield Finding((*at, "direction"), f"rule {name!r} ({rule.type}) has no direction", "no `direction`")


def _alerting(manifest: Manifest) -> tuple[str, ...]:
    """What an alert's ``rule`` may be: a rule, or a hook."""
    return (*manifest.rules, *manifest.hooks)


def _span(path: Path, value: Any) -> Iterator[Finding]:
    if isinstance(value, list) and len(value) == 2:
        begin, end = number(value[0]), number(value[1])
        if begin is not None and end is not None and begin > end:
            yield Finding(path, f"{end:g} is before {begin:g}", "from and to")


def _with_clip(document: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(dicts(dict(document), "clips"))


def _known(path: Path, kind: str, name: Any, known: tuple[str, ...]) -> Iterator[Finding]:
    if isinstance(name, str) and name not in known:
        yield Finding(path, f"there is no {kind} {name!r}", some(known) or "none", near_miss(name, known))
