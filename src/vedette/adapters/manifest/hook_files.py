"""The Python files that a manifest's hooks name: whether they can be used. Nothing is executed."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from vedette.adapters.hooks.code_files import read_code
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest.hooks import is_beside
from vedette.core.manifest_checks import Finding, near_miss

#: What a hook's file may define, and with how many arguments each is called.
FUNCTIONS: Final = {"setup": 1, "on_tracks": 2, "on_frame": 2}
_SIGNATURES: Final = "setup(app), on_tracks(app, batch), on_frame(app, frame)"


def check_hook_files(document: dict[str, Any], directory: Path) -> Iterator[Finding]:
    """Every hook's file is there, compiles, and defines what would be called.

    Args:
        document: the manifest as read.
        directory: where it lies.
    """
    hooks = document.get("hooks")
    for name, hook in hooks.items() if isinstance(hooks, dict) else ():
        file = hook.get("file") if isinstance(hook, dict) else None
        if isinstance(file, str) and is_beside(file):
            yield from _check(("hooks", name), hook, directory / file)


def _check(place: tuple[str, str], hook: dict[str, Any], path: Path) -> Iterator[Finding]:
    where = (*place, "file")
    try:
        tree = _parsed(path)
    except ConfigurationError as error:
        yield Finding(where, error.message.rstrip("."), "a Python file beside the manifest")
        return
    except SyntaxError as error:
        line = f" line {error.lineno}" if error.lineno else ""
        yield Finding(where, f"{path.name}{line}: {error.msg}", "Python that compiles")
        return
    except (ValueError, RecursionError, MemoryError) as error:
        yield Finding(where, f"{path.name}: {error or type(error).__name__}", "Python that compiles")
        return
    defined = dict(_definitions(tree.body))
    known = [name for name in FUNCTIONS if name in defined]
    if not known:
        near = next((near_miss(name, FUNCTIONS) for name in defined if near_miss(name, FUNCTIONS)), "")
        yield Finding(where, f"{path.name} defines none of the functions of a hook", _SIGNATURES, near)
        return
    for name in known:
        yield from _check_function(where, path, name, defined[name])
    pictures = bool(hook.get("cameras"))
    if "on_frame" in known and not pictures:
        message = f"{path.name} defines on_frame, but `cameras` names none, so it is never called"
        yield Finding(where, message, "`cameras` with the cameras whose pictures it may see", level="warning")
    if pictures and "on_frame" not in known:
        message = f"{path.name} defines no on_frame, so the pictures of these cameras go nowhere"
        yield Finding((*place, "cameras"), message, "def on_frame(app, frame)", level="warning")


def _parsed(path: Path) -> ast.Module:
    source = read_code(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escape sequences and the like: no concern of a manifest
        tree = ast.parse(source, filename=path.name)
        compile(tree, path.name, "exec", dont_inherit=True)
    return tree


def _definitions(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Names that a module binds, and the statement that does."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name, statement
            case ast.Assign():
                yield from ((target.id, statement) for target in statement.targets if isinstance(target, ast.Name))
            case ast.ImportFrom():
                yield from ((alias.asname or alias.name, statement) for alias in statement.names)
            case ast.If() | ast.Try() | ast.With():
                yield from _definitions(statement.body)
                yield from _definitions(getattr(statement, "orelse", ()))


def _check_function(where: tuple[str, ...], path: Path, name: str, statement: ast.stmt) -> Iterator[Finding]:
    if isinstance(statement, ast.AsyncFunctionDef):
        yield Finding(where, f"{path.name} line {statement.lineno}: {name} is async", f"def {name}(…)")
        return
    if not isinstance(statement, ast.FunctionDef):
        return
    arguments = statement.args
    most = len(arguments.posonlyargs) + len(arguments.args)
    least = most - len(arguments.defaults)
    needed = [one for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    count = FUNCTIONS[name]
    if needed or not (least <= count and (count <= most or arguments.vararg)):
        message = f"{path.name} line {statement.lineno}: {name} is called with {count} argument{'s'[: count > 1]}"
        yield Finding(where, message, _SIGNATURES)
