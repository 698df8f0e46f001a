"""Writes the application that a project of AWS Panorama became."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from vedette.adapters.panorama_project import copy_code, plain
from vedette.contracts.errors import UsageError
from vedette.core.panorama_import.mapping import Imported
from vedette.core.panorama_import.report import as_json, as_markdown

REPORT: Final = "PANORAMA-IMPORT.md"
#: Files that the last import wrote, with their digests: what of them was changed since is the user's.
_WRITTEN: Final = ".panorama-import.json"


def write_application(
    imported: Imported,
    project: Path,
    out: Path,
    models: Mapping[str, Path],
    next_commands: Sequence[str],
    *,
    force: bool,
) -> list[Path]:
    """Write manifest, code, models and report; what the user has changed since the last import is kept.

    Args:
        imported: what to write.
        project: folder of the project.
        out: folder of the application.
        models: model of the manifest → ONNX file.
        next_commands: for the report.
        force: whether a folder that is there already is written to.

    Returns:
        Files that were left as they are, because they were changed.

    Raises:
        UsageError: V701, the folder is there already.
        ConfigurationError: V101, a file of the project cannot be read.
        OSError: the disk refuses.
    """
    if out.exists() and any(out.iterdir()) and not force:
        raise UsageError(
            f"{out} is there already.",
            hint="Choose another folder with --out, or write it anew with --force: what you have changed is kept.",
            code="V701",
        )
    fresh = out.with_name(f".{out.name}.importing")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        copy_code(project / imported.code.package.folder, imported.code.copies, fresh / "code")
        (fresh / "code").mkdir(exist_ok=True)
        if imported.code.requirements:
            (fresh / "requirements.txt").write_text(imported.code.requirements, "utf-8")
        for name, file in models.items():
            target = fresh / imported.manifest["models"][name]["file"]
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, target)
        (fresh / "vedette.yaml").write_text(manifest_text(imported), "utf-8")
        report = as_markdown(imported.manifest["name"], imported.rows, next_commands)
        (fresh / REPORT).write_text(report, "utf-8")
        return _merge(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def manifest_text(imported: Imported) -> str:
    """``vedette.yaml``: what was imported, and how to go on."""
    manifest = plain(imported.manifest)
    body = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=110)
    outputs = manifest["panorama"].get("outputs", [])
    example = _EXAMPLE.format(output=outputs[0], name=manifest["name"]) if outputs else ""
    head = f"# Imported from AWS Panorama; what became of each part is in {REPORT}. Fields: docs/manifest.md.\n"
    return f"{head}{body}{example}"


def document(imported: Imported, out: Path, kept: Sequence[Path], next_commands: Sequence[str]) -> dict[str, Any]:
    """The result for machines."""
    return {
        "application": str(out),
        "name": imported.manifest["name"],
        "rows": as_json(imported.rows),
        "bindings": {name: list(cameras) for name, cameras in imported.bindings.items()},
        "kept": [str(path) for path in kept],
        "next": list(next_commands),
    }


def _merge(fresh: Path, out: Path) -> list[Path]:
    """Put new files in their places; those that were changed since the last import stay."""
    record = out / _WRITTEN
    before: dict[str, str] = {}
    if record.is_file():
        try:
            before = {str(name): str(digest) for name, digest in json.loads(record.read_bytes()).items()}
        except (ValueError, AttributeError):
            before = {}
    kept: list[Path] = []
    written: dict[str, str] = {}
    for path in sorted(path for path in fresh.rglob("*") if path.is_file()):
        name = path.relative_to(fresh).as_posix()
        target = out / name
        digest = _digest(path)
        if target.exists() and _digest(target) not in (digest, before.get(name)):
            kept.append(target)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        written[name] = digest
    record.write_text(json.dumps(before | written, indent=1, sort_keys=True), "utf-8")
    return kept


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


_EXAMPLE: Final = """
# What the code draws can raise alerts that are never lost and never come twice, for example:
#
# rules:
#   someone_stays:
#     type: dwell
#     pipeline: {output}     # the output port: each rectangle is an object, the label next to it its name
#     zone: [[0.2, 0.2], [0.8, 0.2], [0.8, 0.9], [0.2, 0.9]]
#     for_s: 10
#
# Where alerts go: `actions`; without any they are appended to a file. Look at the output: vedette view {name}
"""
