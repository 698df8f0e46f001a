"""The package as a wheel, made from what is installed: a clone or a wheel, the same code gives the same bytes.

What serves only the machine it is built on (components, recipes, stacks, examples) is not in it.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

import vedette
from vedette.adapters.artefact_file import measured
from vedette.contracts.errors import UsageError
from vedette.local.building.archive import Member, source_files, write_archive
from vedette.local.building.wheels import Wheel

_NAME: Final = "vedette"
#: The worker that runs what SageMaker Neo compiled, and what code of Panorama applications imports.
_BESIDE: Final = ("dlr_worker", "panoramasdk")
_WHEEL: Final = b"Wheel-Version: 1.0\nGenerator: vedette\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def package_members() -> list[Member]:
    """Files of the package and of what other Pythons run beside it, by their names in a wheel."""
    package = Path(vedette.__file__).resolve().parent
    members = list(source_files(package, package.name, lambda inside: inside.parts[0] == "_data"))
    for name in _BESIDE:
        folder = package.parent / name
        if not folder.is_dir():
            raise UsageError(
                f"this installation of vedette lacks its package {name!r}.", hint="Install vedette again.", code="V702"
            )
        members += source_files(folder, name)
    return members


def build_package_wheel(folder: Path) -> Wheel:
    """Write the wheel.

    Args:
        folder: where to.

    Raises:
        UsageError: V702, the installation is incomplete.
        OSError: the folder cannot be written.
    """
    version = vedette.__version__
    info = f"{_NAME}-{version}.dist-info"
    members = [*package_members(), *_described(info)]
    record = "".join(_recorded(member) for member in sorted(members, key=lambda member: member.name))
    members.append(Member(f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode()))
    path = folder / f"{_NAME}-{version}-py3-none-any.whl"
    write_archive(path, members)
    file = measured(path)
    return Wheel(_NAME, version, path, file.sha256, file.size)


def _described(info: str) -> list[Member]:
    """Without what it needs: `requirements.txt` beside it says that for this device, and nothing else is installed."""
    lines = ("Metadata-Version: 2.1", f"Name: {_NAME}", f"Version: {vedette.__version__}", "Requires-Python: >=3.11")
    return [Member(f"{info}/METADATA", ("\n".join(lines) + "\n").encode()), Member(f"{info}/WHEEL", _WHEEL)]


def _recorded(member: Member) -> str:
    content = member.source if isinstance(member.source, bytes) else member.source.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{member.name},sha256={digest},{len(content)}\n"
