"""Templates of applications: every directory of the examples with a ``template.yaml``, and those of this folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from vedette.contracts.base import IDENTIFIER_PATTERN
from vedette.contracts.errors import UsageError
from vedette.contracts.template import Template
from vedette.core.plan import nearest
from vedette.local.data import data_directory

MARKER: Final = "template.yaml"
#: What a new application gets another one of, or has no use for.
_NOT_COPIED: Final = frozenset({MARKER, "README.md", "__pycache__", ".pytest_cache"})
_QUIET_DIGEST: Final = "QUIET_SHA256"
_NAME_LINE: Final = re.compile(r"^name:[ \t]*[^\s#]+", re.M)


@dataclass(frozen=True, slots=True)
class FoundTemplate:
    """A template.

    Attributes:
        name: of its directory.
        directory: where it lies.
        about: what its marker says.
    """

    name: str
    directory: Path
    about: Template


def find_templates() -> dict[str, FoundTemplate]:
    """All templates by name, the simplest first.

    Raises:
        UsageError: V703, a marker has mistakes.
    """
    found = {path.parent.name: path for path in sorted(Path(__file__).parent.glob(f"*/{MARKER}"))}
    with suppress(UsageError):  # an installation without examples still has its own
        found |= {path.parent.name: path for path in sorted(data_directory("examples").glob(f"*/{MARKER}"))}
    return {name: FoundTemplate(name, path.parent, _read(path)) for name, path in found.items()}


def find_template(name: str) -> FoundTemplate:
    """One template.

    Raises:
        UsageError: V703, there is none of the name.
    """
    templates = find_templates()
    if name not in templates:
        raise UsageError(
            f"there is no template {name!r}; templates: {', '.join(templates)}{nearest(name, templates)}.",
            hint="vedette app init --list says what each is.",
            code="V703",
        )
    return templates[name]


def check_name(name: str) -> None:
    """Whether an application can be called so.

    Raises:
        UsageError: V703, it cannot.
    """
    if not re.fullmatch(IDENTIFIER_PATTERN, name):
        better = re.sub(r"[^A-Za-z0-9_-]+", "-", name.rstrip("/").rpartition("/")[2]).strip("-_")[:64]
        raise UsageError(
            f"an application cannot be called {name!r}; allowed: letters, digits, - and _, at most 64, the first one a "
            f"letter or digit{f'; meant {better!r}?' if better else ''}.",
            hint="The directory may be another one: --dir PATH." if "/" in name else "",
            code="V703",
        )


def make_application(template: FoundTemplate, name: str, directory: Path) -> None:
    """Make a directory with a new application in it, whole or not at all.

    Args:
        template: what it begins as.
        name: of the application.
        directory: where to; must not exist, or be empty.

    Raises:
        UsageError: V703, the name or the directory cannot be used.
    """
    check_name(name)
    _check_directory(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise _unusable(directory, error) from error
    try:
        left_out = _NOT_COPIED | set(template.about.leave_out)
        shutil.copytree(
            template.directory,
            made,
            dirs_exist_ok=True,
            ignore=lambda _folder, names: {n for n in names if n in left_out or n.startswith(".")},
        )
        _rename(made / "vedette.yaml", name)
        if template.about.quiet_clip is not None:
            _render_quiet(made / "tests", template.about.quiet_clip)
        made.chmod(0o777 & ~_umask())
        with suppress(FileNotFoundError):
            directory.rmdir()
        made.rename(directory)
    except OSError as error:
        raise _unusable(directory, error) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check_directory(directory: Path) -> None:
    if directory.is_dir():
        if any(directory.iterdir()):
            raise UsageError(
                f"directory {directory} is not empty; nothing in it was changed.",
                hint="Choose another name, or another directory with --dir.",
                code="V703",
            )
    elif directory.exists() or directory.is_symlink():
        raise UsageError(f"{directory} is a file, not a directory.", hint="Choose another name.", code="V703")


def _unusable(directory: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{directory} cannot be made: {error.strerror or error}.",
        hint="Name a directory in a place that this user may write to, with --dir.",
        code="V703",
    )


def _read(path: Path) -> Template:
    try:
        return Template.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        first = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error).partition("\n")[0]
        raise UsageError(f"{path} is no template's marker: {text}.", code="V703") from error


def _rename(manifest: Path, name: str) -> None:
    """Give the manifest its name, and leave every comment of it as it is."""
    text, count = _NAME_LINE.subn(f"name: {name}", manifest.read_text("utf-8"), count=1)
    if not count:
        raise UsageError(f"template {manifest}: the manifest has no line `name: …`.", code="V703")
    manifest.write_text(text, "utf-8")


def _render_quiet(folder: Path, name: str) -> None:
    """Render the empty picture and put its digest into the tests."""
    from vedette.testing.synthetic import empty_picture, make_clip

    content = make_clip(frames=20, fps=10, width=320, height=240, gop=10, draw=empty_picture)
    (folder / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    for file in folder.glob("*.yaml"):
        file.write_text(file.read_text("utf-8").replace(_QUIET_DIGEST, digest), "utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
