"""Insights whose reports a nucleus takes, over intervals that hold pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from vedette.contracts.insight import MAX_REPORT_BYTES
from vedette.contracts.manifest import HeatMap, Insight
from vedette.core.insights.size import largest_report_bytes
from vedette.core.manifest_checks.finding import Finding
from vedette.core.manifest_checks.plain import dicts, number, pipeline_of, section, texts

#: An interval must hold at least so many pictures to say anything.
_LEAST_PICTURES: Final = 3


def check_insights(document: dict[str, Any]) -> Iterator[Finding]:
    """Reports stay within their size, intervals are longer than the pause between pictures."""
    pipelines = dicts(document, "pipelines")
    interval_s = document.get("insights_interval_s", 60)
    if not isinstance(interval_s, int) or interval_s < 1:
        return
    yield from _check_sizes(document, pipelines, interval_s)
    for name in dict.fromkeys(pipeline_of(entry, pipelines) for entry in dicts(document, "insights").values()):
        fps = number(pipelines.get(name, {}).get("fps", 5.0))
        if fps is not None and 0 < fps * interval_s < _LEAST_PICTURES:
            place = "insights_interval_s" if "insights_interval_s" in document else "insights"
            yield Finding(
                (place,),
                f"pipeline {name!r} looks at {fps:g} pictures a second, fewer than {_LEAST_PICTURES} in {interval_s} s",
                "a longer interval, or a higher `fps` of the pipeline",
            )
    if section(document, "insights") and not document.get("insights_to_cloud", True) and not _has_file(document):
        yield Finding(
            ("insights_to_cloud",),
            "insights go nowhere: not to the cloud, and there is no `insights_file`",
            "`insights_file`, or `insights_to_cloud: true`",
        )


def _has_file(document: dict[str, Any]) -> bool:
    return document.get("insights_file") is not None


def _check_sizes(document: dict[str, Any], pipelines: dict[str, dict[str, Any]], interval_s: int) -> Iterator[Finding]:
    together: dict[tuple[str, str], dict[str, Insight]] = {}
    for name, entry in dicts(document, "insights").items():
        try:
            insight = TypeAdapter[Insight](Insight).validate_python(entry)
        except ValidationError:
            continue  # the types report it
        pipeline = pipeline_of(entry, pipelines)
        cameras = insight.cameras if insight.cameras is not None else texts(pipelines.get(pipeline, {}).get("cameras"))
        for camera in cameras:
            together.setdefault((pipeline, camera), {})[name] = insight
    told: set[str] = set()
    for (pipeline, camera), insights in together.items():
        size = largest_report_bytes(insights, interval_s)
        largest = max(insights, key=lambda name: largest_report_bytes({name: insights[name]}, interval_s))
        if size > MAX_REPORT_BYTES and largest not in told:
            told.add(largest)
            maps = any(isinstance(insight, HeatMap) for insight in insights.values())
            yield Finding(
                ("insights", largest),
                f"the reports of pipeline {pipeline!r} on camera {camera!r} could become {size} bytes long",
                f"at most {MAX_REPORT_BYTES} bytes: fewer insights"
                + (", a smaller `grid`, or a pipeline of its own for the heat map" if maps else " of one pipeline"),
            )
