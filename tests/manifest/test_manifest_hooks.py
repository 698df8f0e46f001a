"""The hooks section of a manifest: what is allowed, what each mistake is called, which files belong to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.state.test_plan import cam
from vedette.adapters.hooks.code_files import MAX_FILE_BYTES, MAX_FILES, code_digests
from vedette.adapters.manifest import Mistake, attached_application, check_manifest, load_manifest
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import NetworkPeer
from vedette.core.plan import make_plan

HEAD = """\
api: vedette/v1
name: shop
cameras: {hall: {}, yard: {}}
models: {people: {family: yolox, file: yolox_nano}}
pipelines:
  main: {model: people, cameras: [hall]}
  other: {model: people, cameras: [hall, yard], fps: 2}
hooks:
  greeter:
    file: hooks.py
"""
CODE = "def on_tracks(app, batch): pass\n"


def mistakes(folder: Path, text: str, code: str | None = CODE) -> list[Mistake]:
    (folder / "vedette.yaml").write_text(text)
    if code is not None:
        (folder / "hooks.py").write_text(code)
    return check_manifest(folder)


def errors(folder: Path, text: str, code: str | None = CODE) -> list[Mistake]:
    return [mistake for mistake in mistakes(folder, text, code) if mistake.level == "error"]


def test_a_good_one_has_no_mistakes(tmp_path: Path) -> None:
    text = HEAD + (
        "    pipelines: [main]\n    cameras: [hall]\n    frames_fps: 2\n    memory_mb: 64\n    timeout_s: 0.5\n"
        "    severity: critical\n    actions: [file]\n"
    )
    assert mistakes(tmp_path, text, CODE + "def on_frame(app, frame): pass\n") == []
    hook = load_manifest(tmp_path).hooks["greeter"]
    assert (hook.frames_fps, hook.disk_mb, hook.network) == (2, 64, ())


@pytest.mark.parametrize(
    ("line", "path", "message"),
    [
        ("pipelines: [man]", "hooks.greeter.pipelines[0]", "no pipeline is called 'man'"),
        ("cameras: [hal]", "hooks.greeter.cameras[0]", "no camera is called 'hal'"),
        ("actions: [fil]", "hooks.greeter.actions[0]", "no action is called 'fil'"),
        ("frames_fps: 0", "hooks.greeter.frames_fps", "0"),
        ("frames_fps: 31", "hooks.greeter.frames_fps", "31"),
        ("memory_mb: 8", "hooks.greeter.memory_mb", "8"),
        ("timeout_s: 0", "hooks.greeter.timeout_s", "0"),
        ("timeout_s: .inf", "hooks.greeter.timeout_s", "inf"),
        ("severity: loud", "hooks.greeter.severity", "'loud'"),
        ("colour: red", "hooks.greeter.colour", "unknown field"),
        ("network: [api.example.org]", "hooks.greeter.network[0]", "'api.example.org'"),
        ("network: ['api.example.org:99999']", "hooks.greeter.network[0]", "99999 is no port"),
        ("network: ['169.254.169.254:80']", "hooks.greeter.network[0]", "link-local"),
        ("network: ['[fe80::1]:80']", "hooks.greeter.network[0]", "link-local"),
        ("network: ['2130706433:80']", "hooks.greeter.network[0]", "unusual spelling"),
        ("network: ['0.0.0.0:80']", "hooks.greeter.network[0]", "no address of a host"),
        ("network: [{host: 'a b'}]", "hooks.greeter.network[0]", "a space"),
        ("network: [{port: 80}]", "hooks.greeter.network[0].host", "`host` is missing"),
        ("network: [{host: a, port: 0}]", "hooks.greeter.network[0].port", "0"),
        ("network: [7]", "hooks.greeter.network[0]", "found 7"),
    ],
)
def test_one_mistake(tmp_path: Path, line: str, path: str, message: str) -> None:
    found = errors(tmp_path, f"{HEAD}    {line}\n")
    assert [mistake.path for mistake in found] == [path], found
    assert message in found[0].message
    assert found[0].line == 11


def test_hosts_in_both_forms(tmp_path: Path) -> None:
    network = (
        "['api.example.org:443', '[2620:fe::fe]:853', {host: 10.0.0.5, port: 8080, allow_private: true}, {host: x}]"
    )
    assert errors(tmp_path, f"{HEAD}    network: {network}\n") == []
    assert load_manifest(tmp_path).hooks["greeter"].peers() == (
        NetworkPeer(host="api.example.org", port=443),
        NetworkPeer(host="2620:fe::fe", port=853),
        NetworkPeer(host="10.0.0.5", port=8080, allow_private=True),
        NetworkPeer(host="x", port=443),
    )


@pytest.mark.parametrize(
    "file", ["../hooks.py", "/etc/hooks.py", "a/../../hooks.py", "hooks.txt", ".py", "a\\hooks.py"]
)
def test_the_file_lies_beside_the_manifest(tmp_path: Path, file: str) -> None:
    found = errors(tmp_path, HEAD.replace("hooks.py", file))
    assert [mistake.path for mistake in found] == ["hooks.greeter.file"], found


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def on_tracks(app, batch:\n", "line 1:"),
        ("x = 1\n", "defines none"),
        ("async def on_tracks(app, batch): pass\n", "is async"),
        ("def on_tracks(app): pass\n", "called with 2 arguments"),
        ("def on_tracks(app, batch, more): pass\n", "called with 2 arguments"),
        ("def on_tracks(app, batch, *, more): pass\n", "called with 2 arguments"),
        ("def setup(): pass\n", "called with 1 argument"),
        ("x = '\0'\n", "null bytes"),
        ("x = " + "(" * 5000 + ")" * 5000 + "\n", "hooks.py"),
        (f"x = '{'y' * MAX_FILE_BYTES}'\n", "larger than 1 MiB"),
        ("return 1\ndef setup(app): pass\n", "outside function"),
    ],
)
def test_code_that_cannot_be_a_hook(tmp_path: Path, code: str, message: str) -> None:
    found = errors(tmp_path, HEAD, code)
    assert [mistake.path for mistake in found] == ["hooks.greeter.file"], found
    assert message in found[0].message


@pytest.mark.parametrize(
    "code",
    [
        "def on_tracks(app, batch, more=1): pass\n",
        "def on_tracks(*anything): pass\n",
        "from library import on_tracks\n",
        "from library import run as on_tracks\n",
        "on_tracks = make()\n",
        "try:\n    import x\nexcept ImportError:\n    pass\nelse:\n    def setup(app): pass\n",
        "import os\nos._exit(1)\ndef setup(app): pass\n",
        "'\\d'\ndef setup(app): pass\n",
    ],
)
def test_code_that_can_be_one_is_not_executed(tmp_path: Path, code: str) -> None:
    assert errors(tmp_path, HEAD, code) == []


def test_a_function_that_was_probably_meant(tmp_path: Path) -> None:
    assert errors(tmp_path, HEAD, "def on_track(app, batch): pass\n")[0].suggestion == "`on_tracks`"


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "No such file" in errors(tmp_path, HEAD, code=None)[0].message
    (tmp_path / "hooks.py").mkdir()
    assert "Is a directory" in errors(tmp_path, HEAD, code=None)[0].message


def test_warnings(tmp_path: Path) -> None:
    text = f"{HEAD}    cameras: [hall]\n    network: ['api.example.org:443']\n"
    found = mistakes(tmp_path, text, CODE)
    assert [(m.level, m.path) for m in found] == [
        ("warning", "hooks.greeter.cameras"),
        ("warning", "hooks.greeter.network"),
    ]
    assert "send pictures off the site" in found[1].message
    found = mistakes(tmp_path, HEAD, CODE + "def on_frame(app, frame): pass\n")
    assert [(m.level, m.path) for m in found] == [("warning", "hooks.greeter.file")]
    assert "never called" in found[0].message


def test_a_hook_may_not_be_called_as_a_rule(tmp_path: Path) -> None:
    text = HEAD + "rules:\n  greeter: {type: nothing_seen, for_s: 3, pipeline: main}\n"
    found = errors(tmp_path, text)
    assert [mistake.path for mistake in found] == ["hooks.greeter"]


def test_the_files_of_an_application_are_digested(tmp_path: Path) -> None:
    mistakes(tmp_path, HEAD)
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "more.py").write_text("x = 1\n")
    (tmp_path / "data.txt").write_text("not code")
    for hidden in ("__pycache__", ".git"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "left.py").write_text("")
    application = attached_application(tmp_path)
    assert application.code == {
        "hooks.py": hashlib.sha256(CODE.encode()).hexdigest(),
        "library/more.py": hashlib.sha256(b"x = 1\n").hexdigest(),
    }
    hook = make_plan([application], [cam("hall"), cam("yard")]).hooks[0]
    assert (hook.code, hook.directory, hook.file) == (application.code, str(tmp_path), "hooks.py")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 1):
        (tmp_path / f"m{number}.py").touch()
    with pytest.raises(ConfigurationError) as caught:
        code_digests(tmp_path)
    assert caught.value.code == "V101"


def test_the_plan_says_what_a_hook_gets(tmp_path: Path) -> None:
    text = HEAD + "    cameras: [yard]\n    frames_fps: 8\n  all: {file: hooks.py, pipelines: [main], actions: []}\n"
    assert errors(tmp_path, text, CODE + "def on_frame(app, frame): pass\n") == []
    application = attached_application(tmp_path, {"hall": ["cam-1", "cam-2"], "yard": ["cam-3"]})
    plan = make_plan([application], [cam("cam-1"), cam("cam-2"), cam("cam-3", max_fps=6)])
    every, greeter = plan.hooks
    assert (every.key, greeter.key) == ("shop/all", "shop/greeter")
    assert [(r.pipeline, r.app_camera, r.camera) for r in every.routes] == [
        ("shop/main", "hall", "cam-1"),
        ("shop/main", "hall", "cam-2"),
    ]
    assert len(greeter.routes) == 5
    assert [(c.app_camera, c.camera) for c in greeter.pictures] == [("yard", "cam-3")]
    assert (every.actions, greeter.actions) == ((), ("shop/file",))
    assert [(s.camera, s.fps) for s in plan.streams] == [("cam-1", 5.0), ("cam-2", 5.0), ("cam-3", 6.0)]
    nowhere = make_plan([application], [cam("cam-1")])
    assert any("hook 'greeter' has no camera" in problem for problem in nowhere.problems)
    assert [hook.pictures for hook in nowhere.hooks] == [(), ()]
