"""What a candidate gets: pipelines beside those of the running version, and nothing that this one could notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from vedette.contracts.manifest import Manifest, Model
from vedette.contracts.plan import PipelinePlan, StreamPlan

#: After the name of a session that serves candidates only. Names of sessions end with hexadecimal digits.
SUFFIX: Final = "-candidate"

#: A pipeline on a camera with the file and the settings of its model.
Served = tuple[str, Model, PipelinePlan]


def beside(
    manifest: Manifest,
    served: Sequence[Served],
    running: Sequence[Served],
    streams: Mapping[str, StreamPlan],
    problems: list[str],
) -> list[Served]:
    """The pipelines of a candidate that can be compared: those that the running version has on the same camera.

    No stream is opened, widened or made faster for a candidate, so that the running version gets the pictures that it
    would get without. Only pictures that both analysed count, and so the candidate's are taken from the running one's:
    as many as its manifest asks for where the running version analyses every picture of the stream, else all of them,
    because two that leave out some each might have none in common.

    Args:
        manifest: of the candidate.
        served: its pipelines, as they would be were it an application.
        running: those of all applications.
        streams: camera → what is opened for the applications.
        problems: what cannot be compared is added, in words for people.
    """
    who = said(manifest.name)
    if why := not_compared(manifest):
        problems.append(f"{who}: {why}")
        return []
    if manifest.panorama is not None:
        problems.append(f"{who}: of its Panorama code nothing is compared")
    known = {(p.pipeline, p.camera): p for _, _, p in running if p.application == manifest.name}
    if not known:
        problems.append(f"{who}: no version of the application runs here that it could be compared with")
        return []
    found = []
    for file, model, plan in served:
        other = known.pop((plan.pipeline, plan.camera), None)
        if other is None:
            problems.append(
                f"{who}: pipeline {plan.pipeline!r} on camera {plan.camera!r} is not compared; "
                "the running version has none of that name there"
            )
            continue
        stream = streams[plan.camera]
        if manifest.pipelines[plan.pipeline].stream == "main" and stream.stream != "main":
            problems.append(
                f"{who}: pipeline {plan.pipeline!r} is compared on the {stream.stream} stream, which is open"
            )
        if plan.fps > stream.fps:
            problems.append(
                f"{who}: pipeline {plan.pipeline!r} on camera {plan.camera!r} is compared at {stream.fps:g} pictures "
                f"a second, as many as are there, not at {plan.fps:g}"
            )
        fps = min(plan.fps, stream.fps) if other.fps >= stream.fps else stream.fps
        found.append((file, model, plan.model_copy(update={"fps": fps, "candidate": True})))
    problems.extend(
        f"{who}: pipeline {pipeline!r} on camera {camera!r} is not compared; only the running version has it"
        for pipeline, camera in sorted(known)
    )
    return found


def not_compared(manifest: Manifest) -> str:
    """Why nothing of a new version can be compared with the running one, for people; empty where something can.

    Code of a Panorama application runs once: two of it would share its storage and the ports on which it listens, and
    what it sends would be sent twice.
    """
    if manifest.panorama is not None and not manifest.pipelines:
        return "Panorama code is not compared; it runs once"
    return ""


def said(name: str) -> str:
    """What a candidate is called in ``Plan.problems``. Without quotation marks: those are of applications."""
    return f"candidate of {name}"


def in_words_of_candidates(problems: Sequence[str], name: str) -> list[str]:
    """Problems of an application, said of its candidate."""
    return [text.replace(f"application {name!r}", said(name)) for text in problems]


def shares(key: str, plan: PipelinePlan, running: Sequence[tuple[str, PipelinePlan]]) -> bool:
    """Whether a candidate's pipeline gets its objects from a session of applications at no cost to them.

    That is so where the session looks at the very same parts of the camera's pictures anyway.

    Args:
        key: of the session.
        plan: the candidate's.
        running: the applications' pipelines, each with its session's key.
    """
    return any(
        (key, plan.camera, _look(plan)) == (other_key, other.camera, _look(other)) for other_key, other in running
    )


def _look(plan: PipelinePlan) -> tuple[object, ...]:
    return plan.region, plan.masks, plan.tiles, plan.motion, plan.attributes
