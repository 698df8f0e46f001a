"""A camera simulator: files as RTSP cameras that loop for ever and misbehave on request.

    with CameraSimulator([CameraSource("clip.mp4", name="hall")]) as simulator:
        record = simulator.camera("hall").fault("silent", seconds=5)

Needs the extra ``edge`` (PyAV). ``vedette camera simulate`` runs the same in a process of its own; ``ControlClient``
commands one.
"""

from __future__ import annotations

from vedette.testing.camera.clients import ClientInfo
from vedette.testing.camera.control import ControlClient
from vedette.testing.camera.digest import Credentials
from vedette.testing.camera.faults import FAULT_KINDS, FaultRecord
from vedette.testing.camera.load import load_media
from vedette.testing.camera.media import Media
from vedette.testing.camera.player import LoopStart
from vedette.testing.camera.simulator import CameraHandle, CameraSimulator, CameraSource

__all__ = [
    "FAULT_KINDS",
    "CameraHandle",
    "CameraSimulator",
    "CameraSource",
    "ClientInfo",
    "ControlClient",
    "Credentials",
    "FaultRecord",
    "LoopStart",
    "Media",
    "load_media",
]
