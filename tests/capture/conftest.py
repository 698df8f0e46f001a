"""What the capture tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capture.rig import Rig, component_paths
from vedette.adapters.capture.gst_library import Gst, GstError, load_gstreamer
from vedette.testing.synthetic import make_clip


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of numbered pictures, 25 a second, a key picture every half second."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    path.write_bytes(make_clip(frames=100, gop=12))
    return path


@pytest.fixture(scope="session")
def gst() -> Gst:
    """GStreamer with decoders on the processor."""
    packages = "gstreamer1.0-plugins-base gstreamer1.0-plugins-bad gstreamer1.0-libav"
    try:
        library = load_gstreamer()
    except GstError as error:
        pytest.skip(f"needs GStreamer ({packages}): {error}")
    for element in ("h264parse", "h265parse", "avdec_h264", "avdec_h265", "videoconvert"):
        if not library.has(element):
            pytest.skip(f"needs GStreamer's {element} ({packages})")
    return library


@pytest.fixture
def component_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let child processes find the components."""
    monkeypatch.setenv("PYTHONPATH", component_paths())


@pytest.fixture
def make_rig(short_tmp: Path, component_path: None) -> Iterator[Callable[..., Rig]]:
    """Rigs that are closed in the end."""
    rigs: list[Rig] = []

    def make(url: str, **options: Any) -> Rig:
        folder = short_tmp / str(len(rigs))
        folder.mkdir()
        rigs.append(Rig(folder, url, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
