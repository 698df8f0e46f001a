"""``vedette code read``: pictures and recordings whose codes are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from vedette.adapters.engines.codes import CodeReader
from vedette.cli.main import main
from vedette.core.pixels import Pixels
from vedette.testing.parcels import ParcelSettings, parcel_footage


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def picture(path: Path, *codes: tuple[str, Any, int, int]) -> Path:
    """A grey picture of 640 by 400 with codes: text, kind, left and top."""
    image = np.full((400, 640, 3), 150, np.uint8)
    for text, form, left, top in codes:
        code = np.array(zxingcpp.create_barcode(text, form).to_image(scale=3, add_quiet_zones=True))
        image[top : top + code.shape[0], left : left + code.shape[1]] = code[:, :, None]
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return picture(
        tmp_path / "two.png",
        ("PALLET-17", zxingcpp.BarcodeFormat.QRCode, 30, 40),
        ("4006381333931", zxingcpp.BarcodeFormat.EAN13, 280, 200),
    )


def test_codes_of_a_picture_with_kind_text_and_place(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("code", "read", str(two), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["width"], said["height"], said["pictures"]) == (640, 400, 1)
    by_text = {code["text"]: code for code in said["codes"]}
    assert {text: code["symbology"] for text, code in by_text.items()} == {
        "PALLET-17": "qr_code",
        "4006381333931": "ean13",
    }
    left, top, right, bottom = by_text["PALLET-17"]["box"]
    assert 30 / 640 <= left < right <= 0.25
    assert 40 / 400 <= top < bottom <= 0.4
    assert "first_s" not in by_text["PALLET-17"]


def test_lines_for_people_and_a_drawing(two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = tmp_path / "drawn.png"
    assert run("code", "read", str(two), "-o", str(drawn)) == 0
    assert "qr_code      PALLET-17  at 0." in capsys.readouterr().out
    after, before = (np.asarray(cv2.imread(str(path)), np.int32) for path in (drawn, two))
    changed = np.abs(after - before).max(axis=2) > 40
    assert changed.any()
    assert not changed[300:, :200].any(), "where no code is"


def test_only_the_formats_that_are_asked_for(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("code", "read", str(two), "--json", "--formats", "ean13, itf") == 0
    assert [code["text"] for code in json.loads(capsys.readouterr().out)["codes"]] == ["4006381333931"]


def test_a_recording_says_when_and_how_often(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video, parcels = parcel_footage(ParcelSettings(seed=3, duration_s=16, unreadable=0.0), tmp_path)
    assert run("code", "read", str(video), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    # More parcels than those that pass wholly are on their way, but none is in view before the end.
    assert [code["text"] for code in said["codes"]][: len(parcels)] == [parcel.text for parcel in parcels]
    for code, parcel in zip(said["codes"], parcels, strict=False):
        assert code["first_s"] < parcel.time_at(0.5) < code["last_s"] < parcel.gone_s
        assert 8 <= code["reads"] <= 5 * (code["last_s"] - code["first_s"]) + 1.01


def test_a_file_without_a_code_ends_with_1_and_says_what_to_try(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = picture(tmp_path / "empty.png")
    assert run("code", "read", str(two), str(empty)) == 1
    out = capsys.readouterr().out
    assert "empty.png: 640x400, no codes" in out
    assert "--thorough" in out


def test_a_small_code_is_read_by_the_thorough_reader_at_its_place() -> None:
    code = np.array(
        zxingcpp.create_barcode("SMALL-1", zxingcpp.BarcodeFormat.QRCode).to_image(scale=6, add_quiet_zones=True)
    )
    found = {}
    for side in range(code.shape[0] // 6, code.shape[0] // 2):
        grey = np.full((200, 300), 200, np.uint8)
        grey[60 : 60 + side, 100 : 100 + side] = cv2.resize(code, (side, side), interpolation=cv2.INTER_AREA)
        half = np.full((100, 150), 128, np.uint8)
        pixels = Pixels(grey, half, half, full_range=True)
        quick, thorough = CodeReader(("qr_code",)), CodeReader(("qr_code",), thorough=True)
        found[side] = (len(quick.detect(pixels)), thorough.detect(pixels))
    assert all(len(after) >= before for before, after in found.values()), "it never reads less"
    gained = {side: after for side, (before, after) in found.items() if len(after) > before}
    assert gained
    for side, after in gained.items():
        assert after.texts == ("SMALL-1",)
        assert (after.boxes[0] >= (98, 58, 98, 58)).all()
        assert (after.boxes[0] <= (102 + side, 62 + side, 102 + side, 62 + side)).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.png"], "there is no such file"),
        (["."], "a directory"),
        (["text.txt"], "neither a picture nor a recording"),
        (["text.txt", "--formats", "qrcode"], "did you mean 'qr_code'"),
        (["text.txt", "-o", "drawn.txt"], ".png"),
        (["text.txt", "text.txt", "-o", "drawn.png"], "one FILE"),
    ],
)
def test_what_cannot_be_read_is_said_plainly(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.txt").write_text("hello")
    monkeypatch.chdir(tmp_path)
    assert run("code", "read", *arguments) == 1
    told = capsys.readouterr().err.replace("\n", " ")
    assert told.startswith("error V")
    assert said in told
