"""Reads a project of AWS Panorama from its folder. It may come from anyone: sizes, depths and links are bounded."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from vedette.adapters.regular_file import open_regular
from vedette.contracts.errors import ConfigurationError
from vedette.core.panorama_import.project import Document, PackageFiles, ProjectFiles
from vedette.core.tar_reader import TarReader
from vedette.core.zip_directory import MAX_DIRECTORY_BYTES, stated_directory_bytes

#: Largest JSON file, Python file, and file of the code, bytes.
JSON_BYTES: Final = 4 << 20
SOURCE_BYTES: Final = 4 << 20
FILE_BYTES: Final = 512 << 20
#: Files of a project, and folders in each other.
MOST_FILES: Final = 5_000
MOST_DEPTH: Final = 24
#: What is looked at of an archive: members, and bytes after unpacking.
_ARCHIVE_MEMBERS: Final = 2_000
_ARCHIVE_BYTES: Final = 256 << 20
#: How packed archives begin, and what unpacks them.
_PACKED: Final[dict[bytes, Callable[..., Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "venv", ".git"})
_HINT: Final = "Name the folder of the project, in which `graphs` and `packages` lie."


def read_project(folder: Path, graph: Path | None = None) -> ProjectFiles:
    """Everything that an import looks at.

    Args:
        folder: of the project.
        graph: the graph to import; the one named ``graph.json`` where None.

    Raises:
        ConfigurationError: V101, the folder or a file of it cannot be read; V102, a file is no JSON, or there is no
            graph, or more than one.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder.", hint=_HINT, code="V101")
    root = folder.resolve()
    graphs: list[Document] = []
    overrides: list[Document] = []
    for path in _json_files(root / "graphs", root):
        document = read_json(path, root)
        if "nodeGraph" in document.value:
            graphs.append(document)
        elif "nodeGraphOverrides" in document.value:
            overrides.append(document)
    chosen = read_json(graph.resolve(), root) if graph is not None else _chosen(folder, graphs)
    assets = root / "assets"
    descriptors = {path.name: read_json(path, root) for path in _json_files(assets, root)}
    archives = {
        path.name: what_archive(path)
        for path in (sorted(assets.iterdir()) if assets.is_dir() else ())
        if path.name.endswith((".tar.gz", ".tgz", ".tar", ".zip")) and path.name not in (".tar.gz", ".tar")
    }
    packages = root / "packages"
    return ProjectFiles(
        name=PurePosixPath(chosen.path).parent.name if chosen.path.startswith("graphs/") else root.name,
        graph=chosen,
        other_graphs=tuple(one.path for one in graphs if one.path != chosen.path),
        overrides=tuple(overrides),
        packages=tuple(
            found
            for path in (sorted(packages.iterdir()) if packages.is_dir() else ())
            if path.is_dir() and not path.is_symlink() and (found := _package(path, root)) is not None
        ),
        assets=archives,
        asset_descriptors=descriptors,
    )


def read_json(path: Path, root: Path) -> Document:
    """A JSON file with an object.

    Raises:
        ConfigurationError: V101, it cannot be read or is too large; V102, it holds something else.
    """
    data = _read(path, JSON_BYTES)
    name = _inside(path, root)
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name} is no UTF-8 text (byte {error.start}).", code="V102") from error
    except (ValueError, RecursionError) as error:
        what = "is nested too deeply" if isinstance(error, RecursionError) else f"is no JSON: {error}"
        raise ConfigurationError(f"{name} {what}.", hint="Correct the file, or leave it out.", code="V102") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name} holds no object.", hint="Correct the file, or leave it out.", code="V102")
    return Document(name, value)


def copy_code(package: Path, copies: Mapping[str, str], target: Path) -> None:
    """Copy files of a package, byte for byte.

    Args:
        package: its folder.
        copies: file in it → file below the target.
        target: folder of the code.

    Raises:
        ConfigurationError: V101, a file cannot be read, or is too large; V102, a target lies outside.
    """
    for source, name in copies.items():
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or not inside.parts:
            raise ConfigurationError(
                f"{source} would be copied to {name!r}, outside of the code's folder.", code="V102"
            )
        to = target / inside
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(_read(package / source, FILE_BYTES))
        if os.access(package / source, os.X_OK):
            to.chmod(0o755)


def what_archive(path: Path) -> str:
    """What an archive holds, for people. Its members' names are looked at; nothing is unpacked."""
    try:
        names = _members(path)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, ValueError) as error:
        return f"an archive that cannot be read ({error})"
    return _what(names) + f" ({path.stat().st_size / 2**20:.0f} MB)"


def _what(names: list[str]) -> str:
    lower = [name.casefold() for name in names]

    def ends(*suffixes: str) -> list[str]:
        return [name for name, low in zip(names, lower, strict=True) if low.endswith(suffixes)]

    if any(low.rstrip("/").endswith(("usr/bin", "usr/lib", "/etc", "etc")) for low in lower):
        return "the file system of a container"
    if ends("saved_model.pb"):
        return "a TensorFlow SavedModel"
    if ends("-symbol.json", ".params"):
        return f"an MXNet model ({', '.join(ends('-symbol.json', '.params')[:2])})"
    if ends(".pt", ".pth"):
        return f"a PyTorch model ({ends('.pt', '.pth')[0]})"
    if ends(".pb"):
        return f"a frozen TensorFlow graph ({ends('.pb')[0]})"
    if ends(".tflite"):
        return f"a TensorFlow Lite model ({ends('.tflite')[0]}); export the original instead"
    if ends(".onnx"):
        return f"an ONNX model ({ends('.onnx')[0]}): unpack it, and give it with --model"
    if ends("compiled.so", "compiled_model.json", ".so"):
        return "what SageMaker Neo compiled for one kind of device: the original model is needed"
    return f"{len(names)} files ({', '.join(names[:3])})"


def _members(path: Path) -> list[str]:
    with path.open("rb") as file:
        begin = file.read(6)
        if path.suffix == ".zip":
            if stated_directory_bytes(file) > MAX_DIRECTORY_BYTES:
                raise ValueError("its directory is too large")
            with zipfile.ZipFile(file) as archive:
                return archive.namelist()[:_ARCHIVE_MEMBERS]
        file.seek(0)
        opened = next((opens for magic, opens in _PACKED.items() if begin.startswith(magic)), None)
        stream: Any = file if opened is None else opened(file)
        names, seen = [], 0
        for member in TarReader(stream, names_only=True):  # a stream: a bomb is left where enough was seen
            names.append(member.name.removeprefix("./"))
            seen += member.size
            if len(names) >= _ARCHIVE_MEMBERS or seen > _ARCHIVE_BYTES:
                break
    return names


def _chosen(folder: Path, graphs: list[Document]) -> Document:
    named = [one for one in graphs if one.path.endswith("/graph.json")] or graphs
    if len(named) == 1:
        return named[0]
    if not named:
        raise ConfigurationError(f"{folder} has no graph below `graphs`.", hint=_HINT, code="V102")
    paths = ", ".join(one.path for one in named)
    raise ConfigurationError(f"{folder} has more than one graph: {paths}.", hint="Say which with --graph.", code="V102")


def _json_files(folder: Path, root: Path) -> Iterator[Path]:
    for name in _files(folder, root):
        if name.endswith(".json") and PurePosixPath(name).name != ".json":
            yield folder / name


def _package(folder: Path, root: Path) -> PackageFiles | None:
    if not (folder / "package.json").is_file():
        return None
    files = tuple(_files(folder, root))
    documents = [
        read_json(folder / name, root)
        for name in files
        if name.endswith(".json") and name != "package.json" and "descriptor" in PurePosixPath(name).name
    ]
    texts = {name: _text(folder / name) for name in files if name.endswith(".py")}
    dockerfile = next((name for name in files if PurePosixPath(name).name == "Dockerfile"), "")
    requirements = next((name for name in files if PurePosixPath(name).name == "requirements.txt"), "")
    return PackageFiles(
        _inside(folder, root),
        read_json(folder / "package.json", root),
        tuple(documents),
        files,
        _text(folder / dockerfile) if dockerfile else "",
        _text(folder / requirements) if requirements else "",
        texts,
    )


def _files(folder: Path, root: Path) -> Iterator[str]:
    """Files below a folder, from it, in order. Links that lead out of the project are an error."""
    count = 0
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        depth = len(Path(base).relative_to(folder).parts)
        if depth > MOST_DEPTH:
            raise ConfigurationError(
                f"{_inside(Path(base), root)}: more than {MOST_DEPTH} folders in each other.", code="V101"
            )
        for name in sorted(files):
            count += 1
            if count > MOST_FILES:
                raise ConfigurationError(f"{_inside(folder, root)} has more than {MOST_FILES} files.", code="V101")
            path = Path(base) / name
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise ConfigurationError(
                    f"{_inside(path, root)} is a link that leads out of the project.",
                    hint="Put the file itself there.",
                    code="V101",
                )
            yield path.relative_to(folder).as_posix()


def _text(path: Path) -> str:
    return _read(path, SOURCE_BYTES).decode("utf-8-sig", "replace")


def _read(path: Path, limit: int) -> bytes:
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ConfigurationError(f"{path} is larger than the {limit >> 20} MB allowed.", code="V101")
    return data


def _inside(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def plain(value: Any) -> Any:
    """A value as YAML's plain types."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
