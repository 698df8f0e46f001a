from __future__ import annotations

import hashlib
import http.server
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vedette.adapters.models import download as download_module
from vedette.adapters.models import store as store_module
from vedette.adapters.models.catalogue import known_models, recognise
from vedette.adapters.models.download import check_url, download
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.contracts.errors import ConfigurationError, ModelError, StorageError, UsageError, VedetteError

CONTENT = b"\x08\x07\x12\x04test" * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_added_found_and_read(store: ModelStore, model: Path) -> None:
    assert store.entries() == ()
    entry = store.add_file(model, licence="MIT")
    assert (entry.name, entry.sha256, entry.size, entry.licence) == ("tiny", DIGEST, len(CONTENT), "MIT")
    assert entry.source == str(model)
    model.unlink()
    assert store.find("tiny") == store.find("tiny.onnx") == entry
    assert store.path("tiny").name == "tiny.onnx"
    assert store.read("tiny") == CONTENT
    assert ModelStore(store.directory).entries() == (entry,)
    assert sorted(p.name for p in store.directory.iterdir()) == [".lock", "blobs", "index.json"]


def test_the_licence_is_unknown_unless_said(store: ModelStore, model: Path) -> None:
    assert store.add_file(model).licence == "unknown"


def test_a_changed_file_is_never_handed_out(store: ModelStore, model: Path) -> None:
    store.add_file(model)
    blob = store.path("tiny")
    blob.write_bytes(CONTENT[:-1] + b"!")
    for use in (store.path, store.read):
        with pytest.raises(ModelError, match=DIGEST) as caught:
            use("tiny")
        assert caught.value.code == "V305"
    store.add_file(model)
    assert store.read("tiny") == CONTENT, "adding it again repairs it"


def test_another_digest_than_asked_for_leaves_nothing(store: ModelStore, model: Path) -> None:
    with pytest.raises(ModelError, match=DIGEST) as caught:
        store.add_file(model, sha256="0" * 64)
    assert caught.value.code == "V305"
    assert store.entries() == ()
    assert list(store.directory.rglob("*.onnx")) == []
    store.add_file(model, sha256=DIGEST.upper())


def test_a_name_stands_for_one_content(store: ModelStore, model: Path) -> None:
    store.add_file(model)
    store.add_file(model, licence="MIT")
    model.write_bytes(CONTENT + b"x")
    with pytest.raises(UsageError, match="in the store already"):
        store.add_file(model)
    assert store.add_file(model, name="tiny2").sha256 != DIGEST
    assert store.remove("tiny")
    assert not store.remove("tiny")
    store.add_file(model)
    assert len(store.entries()) == 2


@pytest.mark.parametrize("name", ["../x", "a b", ".hidden", "x" * 65, "a/b"])
def test_names_that_manifests_cannot_use_are_refused(store: ModelStore, model: Path, name: str) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        store.add_file(model, name=name)
    assert store.entries() == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "LFS pointer"),
        (b"\n<!DOCTYPE html><HTML>", "web page"),
        (b'{"message": "Not Found"}', "JSON"),
        (b"PK\x03\x04", "ZIP"),
    ],
)
def test_what_is_no_model_is_refused(store: ModelStore, model: Path, content: bytes, words: str) -> None:
    model.write_bytes(content)
    with pytest.raises(ModelError, match=words) as caught:
        store.add_file(model)
    assert caught.value.code == "V302"


def test_a_file_that_is_too_large(store: ModelStore, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_MODEL_BYTES", 100)
    with pytest.raises(ModelError, match="larger than"):
        store.add_file(model)


def test_errors_name_what_is_wrong(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        store.add_file(tmp_path / "none.onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        ModelStore(tmp_path / "file" / "store").add_stream(lambda _: b"", file_name="x")
    store.directory.mkdir()
    (store.directory / "index.json").write_text("{")
    with pytest.raises(StorageError, match="index of the model store"):
        store.entries()


def test_an_index_cannot_point_out_of_the_store(store: ModelStore, model: Path) -> None:
    store.add_file(model)
    index = store.directory / "index.json"
    document = json.loads(index.read_text())
    document["models"][0]["blob"] = "../../etc/passwd"
    index.write_text(json.dumps(document))
    assert store.find("tiny") is None


def test_the_default_store_follows_the_environment() -> None:
    assert ModelStore.default({"VEDETTE_HOME": "/v"}).directory == Path("/v/models")
    assert ModelStore.default({"XDG_DATA_HOME": "/d", "HOME": "/h"}).directory == Path("/d/vedette/models")
    assert ModelStore.default({"HOME": "/h"}).directory == Path("/h/.local/share/vedette/models")


def test_a_model_is_looked_for_beside_the_manifest_then_in_the_store(
    store: ModelStore, model: Path, tmp_path: Path
) -> None:
    manifest_dir = tmp_path / "app"
    manifest_dir.mkdir()
    with pytest.raises(ModelError) as caught:
        resolve_model("tiny.onnx", manifest_dir, store)
    assert caught.value.code == "V301"
    assert caught.value.hint == "Type: vedette model add FILE_OR_URL --name tiny"
    store.add_file(model)
    assert resolve_model("tiny", manifest_dir, store) == store.path("tiny")
    assert resolve_model("tiny.onnx", None, store) == store.path("tiny")
    (manifest_dir / "tiny.onnx").write_bytes(b"own")
    assert resolve_model("tiny.onnx", manifest_dir, store) == manifest_dir / "tiny.onnx"
    assert resolve_model(str(model), None, store) == model
    with pytest.raises(ModelError, match=r"sub/x\.onnx does not exist"):
        resolve_model("sub/x.onnx", manifest_dir, store)


def test_a_known_model_that_is_missing_names_the_command(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither beside the manifest") as caught:
        resolve_model("yolox_nano", tmp_path, store)
    assert caught.value.hint == "Type: vedette model add yolox_nano"


def test_the_catalogue_is_complete() -> None:
    assert {"yolox_nano", "deimv2_hgnetv2_femto_coco", "ultraface_rfb_320"} <= set(known_models())
    for known in known_models().values():
        check_url(known.source)
        assert len(known.sha256) == 64
        assert known.licence
        assert recognise(known.sha256) == known


@pytest.mark.footage
def test_the_shared_models_are_recognised(store: ModelStore, shared_data: Path) -> None:
    files = {"yolox_nano": "yolox_nano", "deimv2_hgnetv2_femto_coco": "deimv2_hgnetv2_femto_coco"}
    files["ultraface_rfb_320"] = "ultraface_version-RFB-320"
    for name, file in files.items():
        entry = store.add_file(shared_data / "models" / f"{file}.onnx")
        known = known_models()[name]
        assert (entry.name, entry.licence, entry.size) == (name, known.licence, known.size)
        assert entry.source == known.source


ADDER = """
import sys
from pathlib import Path
from vedette.adapters.models.store import ModelStore
store = ModelStore(Path(sys.argv[1]))
for name in sys.argv[3:]:
    store.add_file(Path(sys.argv[2]), name=name)
"""


def test_several_processes_add_at_the_same_time(store: ModelStore, model: Path) -> None:
    groups = [[f"m{g}-{n}" for n in range(5)] for g in range(3)]
    runs = [
        subprocess.Popen([sys.executable, "-c", ADDER, str(store.directory), str(model), *names]) for names in groups
    ]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    assert {entry.name for entry in store.entries()} == {name for names in groups for name in names}
    for entry in store.entries():
        assert store.read(entry.name) == CONTENT


# --- download ---


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1/x.onnx")
            self.end_headers()
        elif self.path == "/gone.onnx":
            self.send_error(404)
        elif self.path == "/cut.onnx":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT) + 10))
            self.end_headers()
            self.wfile.write(CONTENT)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ssl.SSLContext]]:
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        capture_output=True,
        check=False,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.skip("needs the openssl program")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{httpd.server_port}", ssl.create_default_context(cafile=str(folder / "cert.pem"))
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def trusted(server: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("ssl._create_default_https_context", lambda: server[1])
    return server[0]


def test_a_download_is_stored_with_its_source(trusted: str, store: ModelStore) -> None:
    seen: list[tuple[int, int]] = []
    asked: list[str] = []

    def accept(entry: Any) -> bool:
        asked.append(entry.sha256)
        assert store.entries() == ()
        return True

    entry = download(f"{trusted}/tiny.onnx", store, licence="MIT", progress=lambda *at: seen.append(at), accept=accept)
    assert (entry.name, entry.sha256, entry.source) == ("tiny", DIGEST, f"{trusted}/tiny.onnx")
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert asked == [DIGEST]


def test_a_download_that_is_not_accepted_leaves_nothing(trusted: str, store: ModelStore) -> None:
    with pytest.raises(ModelError, match="not accepted"):
        download(f"{trusted}/tiny.onnx", store, accept=lambda _: False)
    assert store.entries() == ()


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/gone.onnx", "V301", "404"),
        ("/cut.onnx", "V301", "ended after"),
        ("/moved.onnx", "V105", "over https only"),
    ],
)
def test_downloads_that_fail(trusted: str, store: ModelStore, path: str, code: str, words: str) -> None:
    with pytest.raises(VedetteError, match=words) as caught:
        download(trusted + path, store)
    assert caught.value.code == code
    assert caught.value.hint
    assert store.entries() == ()


def test_an_untrusted_server_is_refused(server: tuple[str, ssl.SSLContext], store: ModelStore) -> None:
    with pytest.raises(ModelError, match=r"(?i)certificate"):
        download(f"{server[0]}/tiny.onnx", store)


def test_offline_is_said(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def no_network(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(ModelError, match="seems to be offline") as caught:
        download("https://example.org/x.onnx", store)
    assert "vedette model add FILE" in caught.value.hint


@pytest.mark.parametrize("url", ["http://x/y.onnx", "ftp://x/y", "file:///etc/passwd", "https://u:p@x/y", "https://[x"])
def test_only_plain_https_addresses_are_fetched(url: str, store: ModelStore) -> None:
    with pytest.raises(ConfigurationError) as caught:
        download(url, store)
    assert caught.value.code == "V105"
    assert "u:p" not in str(caught.value)
    assert download_module.TIMEOUT_S <= 30
