"""Where TensorRT's engines are kept: never a wrong one, never half of one, never too many."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from vedette.adapters.engines.engine_cache import KEPT, EngineCache, EngineKey, device_marks, tensorrt_version
from vedette.contracts.errors import StorageError
from vedette.contracts.manifest import Precision

KEY = EngineKey("a" * 64, Precision.FLOAT16, 0, "onnxruntime-gpu 1.31.0", 100300, 0, ("Orin", "540.4.0"))


def build(cache: EngineCache, key: EngineKey) -> Path:
    place = cache.prepare(key)
    (place / "x.engine").write_bytes(b"engine")
    assert cache.keep(key)
    return place


def test_an_engine_is_found_again_by_everything_it_depends_on(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines")
    assert not cache.whole(KEY)
    place = build(cache, KEY)
    assert cache.whole(KEY)
    assert place.stat().st_mode & 0o777 == place.parent.stat().st_mode & 0o777 == 0o700
    others = [
        replace(KEY, model="b" * 64),
        replace(KEY, precision=Precision.INT8),
        replace(KEY, workspace_bytes=1),
        replace(KEY, runtime="onnxruntime-gpu 1.32.0"),
        replace(KEY, tensorrt=100400),
        replace(KEY, gpu=1),
        replace(KEY, device=("Orin", "540.5.0")),
    ]
    assert not any(cache.whole(other) for other in others)
    assert len({key.name() for key in (KEY, *others)}) == 1 + len(others)


def test_what_was_cut_off_does_not_count(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    place = cache.prepare(KEY)
    (place / "x.engine").write_bytes(b"eng")
    assert not cache.whole(KEY), "ended before the mark"
    assert list(cache.prepare(KEY).iterdir()) == [], "begun anew"
    assert not cache.keep(KEY), "nothing was built"
    place = build(cache, KEY)
    (place / "x.engine").write_bytes(b"eng")
    assert not cache.whole(KEY), "shorter than it was"
    build(cache, KEY)
    (place / "whole.json").write_bytes(b"[1]")
    assert not cache.whole(KEY)
    (place / "whole.json").write_bytes(b"\0")
    assert not cache.whole(KEY)


def test_only_the_engines_used_last_are_kept(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    keys = [replace(KEY, model=f"{n:064x}") for n in range(KEPT + 3)]
    for n, key in enumerate(keys):
        os.utime(build(cache, key), (n, n))
    assert cache.whole(keys[3]), "a use"
    build(cache, KEY)
    kept = [key for key in (*keys, KEY) if cache.place(key).exists()]
    assert len(kept) == KEPT
    assert {keys[3].name(), KEY.name(), keys[-1].name()} <= {key.name() for key in kept}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"V401.*file/engines.*write access"):
        EngineCache(tmp_path / "file" / "engines").prepare(KEY)


def test_a_device_is_told_by_its_processors_and_drivers(tmp_path: Path) -> None:
    assert device_marks(tmp_path) == ()
    card = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: NVIDIA T4\n")
    (tmp_path / "proc/driver/nvidia/version").write_text("NVRM version: 580\n")
    assert device_marks(tmp_path) == ("NVRM version: 580\n", "Model: NVIDIA T4\n")


def test_no_tensorrt_has_no_version() -> None:
    assert tensorrt_version(["libvedette-nothing.so"]) == 0
    assert tensorrt_version(["libc.so.6"]) == 0, "a library without the function"
