"""Archives whose headers would fill the memory are refused before anything of them is kept."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from vedette.adapters.engines.neo_archive import unpack_neo
from vedette.adapters.panorama_project import what_archive
from vedette.contracts.errors import ModelError
from vedette.core.tar_reader import TarError, TarReader
from vedette.core.zip_directory import directory_bytes


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_header_of_many_bytes(kind: bytes, tmp_path: Path) -> None:
    packed = gzip.compress(header(kind, 1 << 30))
    with pytest.raises(ModelError, match="at most 65536"):
        unpack_neo(packed, "m", tmp_path)


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"6", b"S", b"V", b"M"])
def test_what_is_no_plain_file(kind: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="plain file"):
        unpack_neo(gzip.compress(header(kind, 0)), "m", tmp_path)


def test_headers_without_end() -> None:
    with pytest.raises(TarError, match="more than 1000"):
        list(TarReader(io.BytesIO(header(b"L", 0) * 2_000)))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_others_wrote_is_read_as_they_read_it(form: int) -> None:
    packed = io.BytesIO()
    files = {"a": b"", "folder/b.so": b"x" * 1000, "long/" * 15 + "ä" * 20: bytes(512), "c" * 99: b"y" * 513}
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    packed.seek(0)
    reader = TarReader(packed)
    assert {member.name: b"".join(reader.content()) for member in reader} == files


def test_links_are_names_where_names_are_all_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(header(b"2", 0, "usr/bin/x") + header(b"5", 0, "usr/bin") + bytes(1024))
    assert "file system" in what_archive(path)
    path.write_bytes(header(b"S", 0) + b"\1" * 512)
    assert "cannot be read" in what_archive(path)
    (tmp_path / "bad.zip").write_bytes(b"PK no zip")
    assert "cannot be read" in what_archive(tmp_path / "bad.zip")


def test_the_largest_directory_that_any_record_states_counts() -> None:
    end = b"PK\5\6" + bytes(8) + (77).to_bytes(4, "little") + bytes(6)
    hidden = b"PK\5\6" + bytes(8) + b"PK\5\6" + bytes(6)
    assert directory_bytes(end) == 77
    assert directory_bytes(hidden) == int.from_bytes(b"PK\5\6", "little")
    assert directory_bytes(b"no zip") == 0
