"""Commands that are imported when they are used, so that ``vedette --help`` is there at once."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from vedette.contracts.errors import UsageError

#: Text is shown as it is written: no mark-up, so that a bracket in a help text stays a bracket.
_MARKUP: Final = "rich"


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command, not imported yet.

    Attributes:
        name: as typed.
        target: ``module:function``; empty for a group.
        summary: one line for the list of commands.
        panel: heading under which it is listed.
        hidden: works, but is not listed.
        passes_on: what follows its first argument is for another program, options included.
        children: a group's commands.
    """

    name: str
    target: str
    summary: str
    panel: str = "Commands"
    hidden: bool = False
    passes_on: bool = False
    children: tuple[CommandSpec, ...] = field(default=())


class LazyGroup(TyperGroup):
    """A group of ``CommandSpec``.

    Attributes:
        specs: of a subclass that `typer.Typer` instantiates; else given to the constructor.
    """

    specs: ClassVar[tuple[CommandSpec, ...]] = ()

    def __init__(self, specs: Sequence[CommandSpec] = (), **attributes: Any) -> None:
        self._specs = {spec.name: spec for spec in specs or self.specs if _exists(spec)}
        stand_ins = {name: _stand_in(spec) for name, spec in self._specs.items()}
        super().__init__(**{**attributes, "commands": stand_ins, "rich_markup_mode": _MARKUP, "no_args_is_help": True})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command in place of its stand-in, once it is known to be the one."""
        name, command, rest = super().resolve_command(ctx, args)
        spec = self._specs.get(name or "")
        if spec is not None and not spec.children:
            command = load_command(spec)
        return name, command, rest


def _stand_in(spec: CommandSpec) -> Any:
    if spec.children:
        return LazyGroup(
            spec.children, name=spec.name, help=spec.summary, rich_help_panel=spec.panel, hidden=spec.hidden
        )
    return TyperCommand(name=spec.name, help=spec.summary, rich_help_panel=spec.panel, hidden=spec.hidden)


def load_command(spec: CommandSpec) -> Any:
    """Import a command.

    Raises:
        UsageError: V702, a package that it needs is not installed.
    """
    module_name, _, attribute = spec.target.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "vedette"):
            raise
        raise UsageError(
            f"`vedette {spec.name}` needs the package {error.name!r}, which is not installed.",
            hint='Type: pip install "vedette[edge]"',
            code="V702",
        ) from error
    app = typer.Typer(add_completion=False, rich_markup_mode=_MARKUP, pretty_exceptions_enable=False)
    passing = {"ignore_unknown_options": True, "allow_interspersed_args": False} if spec.passes_on else None
    app.command(spec.name, context_settings=passing)(function)
    return get_command(app)


def _exists(spec: CommandSpec) -> bool:
    if spec.children:
        return any(_exists(child) for child in spec.children)
    return importlib.util.find_spec(spec.target.partition(":")[0]) is not None
