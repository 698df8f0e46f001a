"""The ``{…}`` variables of a recipe's scripts and environment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from vedette.contracts.errors import CoreError

_SAFE_IN_SCRIPT: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
#: Between single quotes a shell takes everything as it is, up to the next one.
_SAFE_IN_QUOTES: Final = re.compile(r"[^'\x00-\x1f\x7f]*")
_VARIABLE: Final = re.compile(r"\{([A-Za-z]+):([^{}]*)\}")

_HINT: Final = (
    "Nucleus lite cuts a script at the first brace it does not know: read configuration over IPC and keep "
    "scripts to one 'exec' without braces."
)


@dataclass(frozen=True, slots=True)
class Variables:
    """What the variables of one component stand for.

    Attributes:
        artifacts: ``{artifacts:path}``.
        decompressed: ``{artifacts:decompressedPath}``.
        work: ``{work:path}``.
        root: ``{kernel:rootPath}``.
        thing_name: ``{iot:thingName}``.
        configuration: looks a JSON pointer up; raises KeyError where nothing is there.
        lite: imitate nucleus lite (paths end in a slash, scripts are cut at an unknown brace).
    """

    artifacts: Path
    decompressed: Path
    work: Path
    root: Path
    thing_name: str
    configuration: Callable[[str], JsonValue]
    lite: bool = False

    def script(self, text: str, *, where: str) -> str:
        """A script with its variables replaced.

        Raises:
            CoreError: an unknown brace (under ``lite`` the script is cut there instead), a configuration value
                that is missing, or one that a shell would interpret.
        """
        return self._expand(text, where, in_script=True)

    def setting(self, text: str, *, where: str) -> str:
        """A value of ``Setenv`` with its variables replaced.

        Raises:
            CoreError: as ``script``.
        """
        return self._expand(text, where, in_script=False)

    def _expand(self, text: str, where: str, *, in_script: bool) -> str:
        pieces: list[str] = []
        at = 0
        while (brace := text.find("{", at)) >= 0:
            pieces.append(text[at:brace])
            match = _VARIABLE.match(text, brace)
            safe = None
            if match is not None and in_script:
                quoted = text[brace - 1 : brace] == "'" == text[match.end() : match.end() + 1]
                safe = _SAFE_IN_QUOTES if quoted else _SAFE_IN_SCRIPT
            value = self._value(match.group(1), match.group(2), where, safe) if match else None
            if match is None or value is None:
                if self.lite and in_script:
                    return "".join(pieces)
                line = text.count("\n", 0, brace) + 1
                raise CoreError(f"{where}: line {line}: unknown variable {text[brace : brace + 40]!r}.", hint=_HINT)
            pieces.append(value)
            at = match.end()
        return "".join([*pieces, text[at:]])

    def _value(self, space: str, key: str, where: str, safe: re.Pattern[str] | None) -> str | None:
        paths = {
            ("artifacts", "path"): self.artifacts,
            ("artifacts", "decompressedPath"): self.decompressed,
            ("work", "path"): self.work,
            ("kernel", "rootPath"): self.root,
        }
        if (space, key) in paths:
            return f"{paths[space, key]}/" if self.lite else str(paths[space, key])
        if (space, key) == ("iot", "thingName"):
            return self.thing_name
        if space != "configuration":
            return None
        try:
            value = self.configuration(key)
        except KeyError:
            raise CoreError(f"{where}: {{configuration:{key}}} names a value that is not there.") from None
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        if safe is not None and not safe.fullmatch(text):
            raise CoreError(
                f"{where}: the value of {{configuration:{key}}} holds characters a shell would interpret.",
                hint="Read it over IPC, put it into Setenv, or the variable between single quotes.",
            )
        return text
