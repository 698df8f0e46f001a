"""How often a client tried a password that the camera refuses."""

from __future__ import annotations

from pathlib import Path

import av
import av.error
import pytest

from vedette.testing.camera import CameraSimulator, CameraSource, ControlClient, Credentials
from vedette.testing.synthetic import make_clip


def test_each_refused_login_is_counted_and_a_request_without_one_is_not(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(make_clip(frames=10))
    control = Path(tmp_path / "control")
    sources = [CameraSource(clip, name="cam")]
    with (
        CameraSimulator(sources, credentials=Credentials("viewer", "right"), control=control) as simulator,
        ControlClient(control) as client,
    ):

        def refused(userinfo: str) -> int:
            before = client.call("list")["cameras"][0]["refused_logins"]
            with pytest.raises(av.error.HTTPUnauthorizedError):
                av.open(simulator.url("cam").replace("//", f"//{userinfo}"), timeout=5)
            return int(client.call("list")["cameras"][0]["refused_logins"] - before)

        assert refused("") == 0
        assert refused("viewer:wrong@") == 1
        simulator.camera("cam").fault("unauthorized")
        assert refused("") == 0
        assert refused("viewer:right@") == 1
