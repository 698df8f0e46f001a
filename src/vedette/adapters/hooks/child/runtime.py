"""Loads the application's file and calls its functions, one call at a time, in the order of the warden's messages."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import vedette.hooks
from vedette.adapters.hooks import framing
from vedette.adapters.hooks.child import network
from vedette.adapters.hooks.child.pictures import Rings
from vedette.hooks import App, Batch, Camera, Frame, RaisedAlert, TrackedObject

FUNCTIONS: Final = ("setup", "on_tracks", "on_frame")
#: Of a traceback, the end says most.
_TRACE_LINES: Final = 14
_TRACE_CHARACTERS: Final = 1_500
_OWN: Final = (os.path.dirname(__file__), os.path.dirname(vedette.hooks.__file__))


class Runtime:
    """One hook.

    Args:
        control: to the warden: calls come in, answers go out.
        broker: to the warden: connections are asked for.
        code: the application's directory.
        data: the hook's own directory.
    """

    def __init__(self, control: socket.socket, broker: socket.socket, code: str, data: str) -> None:
        self._control = control
        self._broker = broker
        self._code = code
        self._data = data
        self._rings = Rings()
        self._app = App()
        self._functions: dict[str, Callable[..., object]] = {}
        self._saved = ""

    def serve(self) -> None:
        """Answer calls until the warden hangs up."""
        while True:
            descriptors: list[int] = []
            message = framing.receive(self._control, descriptors)
            if message is None:
                return
            if message["do"] == "ring":
                self._rings.attach(message, descriptors.pop(0))
                continue
            framing.send(self._control, self._answer(message))

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._setup(message) if message["do"] == "setup" else self._call(message)
        except BaseException as error:  # noqa: BLE001 - the border of code nobody knows; even SystemExit is its failure
            return {"n": message["n"], "failed": _failure(error)}
        return {"n": message["n"], "ok": answer}

    def _setup(self, message: dict[str, Any]) -> dict[str, Any]:
        """Load the file, and call ``setup`` where there is one."""
        network.install(self._broker)
        if message["pictures"]:
            self._rings.prepare()
        module = self._load(message["file"])
        self._functions = {name: getattr(module, name) for name in FUNCTIONS if callable(getattr(module, name, None))}
        if not self._functions:
            raise AttributeError(f"{message['file']} defines none of {', '.join(FUNCTIONS)}")
        self._app = App(
            cameras=[Camera(name, device) for name, device in message["cameras"]],
            parameters=message["parameters"],
            state=message["state"],
            directory=Path(self._data),
        )
        self._saved = self._app.saved_state()
        alerts: tuple[RaisedAlert, ...] = ()
        if "setup" in self._functions:
            alerts = self._app.handle(self._functions["setup"], now=_time(message["wall_s"]), setup=True)
        timers = [seconds for seconds, _ in self._app.timers]
        return {**self._reply(alerts), "functions": list(self._functions), "timers": timers}

    def _load(self, file: str) -> object:
        path = os.path.join(self._code, file)
        for folder in dict.fromkeys((os.path.dirname(path), self._code)):
            sys.path.append(folder)  # at the end: a file of the application hides no module of the interpreter
        spec = importlib.util.spec_from_file_location(Path(file).stem, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        match message["do"]:
            case "tracks":
                return self._reply(self._app.handle(self._functions["on_tracks"], batch_of(message)))
            case "frame":
                return self._reply(self._app.handle(self._functions["on_frame"], self._frame(message)))
            case "timer":
                _, function = self._app.timers[message["number"]]
                return self._reply(self._app.handle(function, now=_time(message["wall_s"])))
            case other:
                raise ValueError(f"unknown call {other!r}")

    def _reply(self, alerts: tuple[RaisedAlert, ...]) -> dict[str, Any]:
        state = self._app.saved_state()
        changed, self._saved = state != self._saved, state
        return {"alerts": [asdict(alert) for alert in alerts], "state": state if changed else None}

    def _frame(self, message: dict[str, Any]) -> Frame:
        info = message["frame"]
        return Frame(
            camera=message["camera"],
            picture=self._rings.picture(message),
            time=_time(info["wall_s"]),
            media_time_s=info["media_time_s"],
            device_camera=info["camera"],
            width=info["width"],
            height=info["height"],
            epoch=info["epoch"],
            frame_no=info["frame_no"],
        )


def batch_of(message: dict[str, Any]) -> Batch:
    """The batch of a message of the warden."""
    body = message["batch"]
    info = body["frame"]
    found = body.get("attributes") or [()] * len(body["ids"])
    objects = tuple(
        TrackedObject(
            track_id, label, (box[0], box[1], box[2], box[3]), score, {name: value for name, value, _ in said}
        )
        for track_id, label, box, score, said in zip(
            body["ids"], body["labels"], body["boxes"], body["scores"], found, strict=True
        )
    )
    return Batch(
        camera=message["camera"],
        objects=objects,
        time=_time(info["wall_s"]),
        media_time_s=info["media_time_s"],
        pipeline=message["pipeline"],
        device_camera=info["camera"],
        width=info["width"],
        height=info["height"],
        epoch=info["epoch"],
        frame_no=info["frame_no"],
        gap=info.get("gap_reason", ""),
    )


def _time(wall_s: float) -> datetime:
    return datetime.fromtimestamp(wall_s, UTC)


def _failure(error: BaseException) -> dict[str, str]:
    """What went wrong, with the last lines of the traceback; our own part of it is left out."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OWN):
        trace = trace.tb_next
    lines = "".join(traceback.format_exception(type(error), error, trace)).splitlines()
    text = "\n".join(lines[-_TRACE_LINES:])
    return {"kind": type(error).__name__[:100], "text": text[-_TRACE_CHARACTERS:]}
