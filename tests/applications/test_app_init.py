"""``vedette app init``: what it makes works at once; what it must not touch stays as it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_cli_main import vedette
from tests.conftest import REPOSITORY
from vedette.adapters.manifest import check_manifest, load_manifest
from vedette.adapters.manifest.application_tests import application_tests, load_application_test
from vedette.adapters.models.store import ModelStore
from vedette.cli.app_init import readme
from vedette.compose.clips import file_digest
from vedette.contracts.errors import UsageError
from vedette.local.templates import MARKER, find_template, find_templates, make_application

TEMPLATES = sorted(find_templates())


def init(*arguments: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
    done = vedette("app", "init", *arguments, **home)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_every_example_with_a_marker_is_a_template() -> None:
    examples = {path.parent.name for path in (REPOSITORY / "examples").glob(f"*/{MARKER}")}
    assert {*examples, "blank"} == set(TEMPLATES)
    assert {"people_flow", "site_watch"} <= examples


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_made_is_right(name: str, tmp_path: Path) -> None:
    template = find_template(name)
    target = tmp_path / "new" / "my-shop_2"
    make_application(template, "my-shop_2", target)
    assert [mistake.render() for mistake in check_manifest(target)] == []
    manifest = load_manifest(target)
    assert manifest.name == "my-shop_2"
    assert "my-shop_2" in (target / "vedette.yaml").read_text()
    original = load_manifest(template.directory)
    assert manifest == original.model_copy(update={"name": "my-shop_2"})
    files = application_tests(target)
    assert files
    for file in files:
        test = load_application_test(file, manifest)
        for clip in test.clips.values():
            if clip.file is None:
                continue
            beside = file.parent / clip.file
            assert not beside.exists() or file_digest(beside) == clip.sha256
    assert not (target / MARKER).exists()
    assert [path.name for path in target.parent.iterdir()] == ["my-shop_2"], "nothing is left beside it"
    text = readme(template, manifest)
    assert "vedette app test ." in text
    assert all(f"--camera {camera}=" in text for camera in manifest.cameras)
    assert (target.stat().st_mode & 0o777) == 0o777 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my shop", "meant 'my-shop'"),
        ("../shop", "meant 'shop'"),
        ("a/b", "meant 'b'"),
        ("-x", "meant 'x'"),
        ("", "cannot be called ''"),
        ("ä" * 3, "letters, digits"),
        ("x" * 65, "at most 64"),
    ],
)
def test_names_that_are_none(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        make_application(find_template("blank"), name, tmp_path / "new")
    assert caught.value.code == "V703"
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    file = tmp_path / "file"
    file.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for target, words in ((full, "is not empty"), (file, "is a file"), (link, "is a file"), (file / "x", "cannot be")):
        with pytest.raises(UsageError, match=words) as caught:
            make_application(find_template("blank"), "shop", target)
        assert caught.value.code == "V703"
    assert (full / "mine.txt").read_text() == file.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full", "link"]
    empty = tmp_path / "empty"
    empty.mkdir()
    make_application(find_template("blank"), "shop", empty)
    assert (empty / "vedette.yaml").exists()


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vedette.local.templates._render_quiet", full)
    with pytest.raises(UsageError, match="No space left") as caught:
        make_application(find_template("blank"), "shop", tmp_path / "shop")
    assert caught.value.code == "V703"
    assert list(tmp_path.iterdir()) == []


def test_a_marker_with_mistakes_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.local.templates.data_directory", lambda _: tmp_path)
    (tmp_path / "mine").mkdir()
    for text, words in (("", "valid"), ("summary: [", "marker"), ("summry: x", "summ")):
        (tmp_path / "mine" / MARKER).write_text(text)
        with pytest.raises(UsageError, match=words) as caught:
            find_templates()
        assert caught.value.code == "V703"
    (tmp_path / "mine" / MARKER).write_text("summary: Mine")
    assert list(find_templates()) == ["blank", "mine"]


@pytest.mark.processes
def test_the_command_says_what_comes_next(tmp_path: Path) -> None:
    listed = init("--list", folder=tmp_path).stdout
    assert all(name in listed for name in TEMPLATES)
    done = init("shop", "--dir", str(tmp_path / "shop"), folder=tmp_path)
    said = [line.strip() for line in done.stdout.splitlines()[1:]]
    assert said == [
        f"cd {tmp_path / 'shop'}",
        "vedette model add yolox_nano",
        "vedette app test .",
        "vedette run . --camera entrance=rtsp://…",
    ]
    assert "vedette model add yolox_nano" in (tmp_path / "shop" / "README.md").read_text()
    assert "is not empty" in init("shop", "--dir", str(tmp_path / "shop"), folder=tmp_path, code=1).stderr
    assert "did you mean 'people_flow'" in init("x", "--template", "peopleflow", folder=tmp_path, code=1).stderr
    assert "needs a name" in init(folder=tmp_path, code=1).stderr


@pytest.mark.processes
@pytest.mark.footage
def test_the_tests_of_a_new_application_run(shared_data: Path, tmp_path: Path) -> None:
    """As a newcomer does it: init, model, test."""
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "VEDETTE_DATA": ""}
    assert vedette("app", "init", "shop", "--dir", str(tmp_path / "shop"), **home).returncode == 0
    before = vedette("app", "test", str(tmp_path / "shop"), **home)
    assert before.returncode == 1
    assert "vedette model add yolox_nano" in before.stderr
    ModelStore(tmp_path / "data" / "vedette" / "models").add_file(shared_data / "models" / "yolox_nano.onnx")
    after = vedette("app", "test", str(tmp_path / "shop"), "--strict", **home)
    assert after.returncode == 0, after.stdout + after.stderr
    assert "passed quiet.yaml" in after.stdout
