"""What can be said of Python code without running it: packages that it imports, what newer versions refuse."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

#: Names that NumPy 1.24 took away.
_GONE: Final = frozenset({"float", "int", "bool", "object", "str", "complex", "long", "unicode"})
#: Import name → package, where they differ.
_PACKAGES: Final = {
    "cv2": "opencv-python-headless",
    "PIL": "Pillow",
    "yaml": "PyYAML",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "dateutil": "python-dateutil",
    "google": "protobuf",
    "tensorrt": "tensorrt",
}
#: Packages of AWS that speak to the network.
_CLOUD: Final = frozenset({"boto3", "botocore", "awscrt", "awsiot", "AWSIoTPythonSDK", "greengrasssdk", "requests"})


@dataclass(slots=True)
class Advice:
    """What was found in all files.

    Attributes:
        preview: file that imports the interface of the preview; empty where none does.
        uses_sdk: whether any file imports ``panoramasdk``.
        imports: package that is not part of Python → file that imports it.
        cloud: package that speaks to the network → file.
        old_numpy: place of a name that NumPy has taken away → the name.
        syntax: file that this Python cannot read → why.
    """

    preview: str = ""
    uses_sdk: bool = False
    imports: dict[str, str] = field(default_factory=dict)
    cloud: dict[str, str] = field(default_factory=dict)
    old_numpy: dict[str, str] = field(default_factory=dict)
    syntax: dict[str, str] = field(default_factory=dict)


def read_sources(sources: Mapping[str, str]) -> Advice:
    """Look through Python files.

    Args:
        sources: path → text.
    """
    advice = Advice()
    own = _own_modules(sources)
    for path, text in sorted(sources.items()):
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            advice.syntax[path] = f"line {line}: {getattr(error, 'msg', error)}" if line else str(error)
            if "panoramasdk.base" in text:
                advice.preview = advice.preview or path
            advice.uses_sdk |= "panoramasdk" in text
            continue
        for node in ast.walk(tree):
            _look(advice, node, path, own)
    return advice


def packages_of(imports: Iterable[str]) -> list[str]:
    """Packages that provide modules, in the order of their names."""
    return sorted({_PACKAGES.get(name, name) for name in imports}, key=str.casefold)


def _own_modules(sources: Mapping[str, str]) -> set[str]:
    return {part.removesuffix(".py") for path in sources for part in path.split("/")}


def _look(advice: Advice, node: ast.AST, path: str, own: set[str]) -> None:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)][:2]
    else:
        modules = []
        _look_for_old_numpy(advice, node, path)
    for module in modules:
        root = module.partition(".")[0]
        if root == "panoramasdk":
            advice.uses_sdk = True
            if module.startswith("panoramasdk.base"):
                advice.preview = advice.preview or path
        elif root in _CLOUD:
            advice.cloud.setdefault(root, path)
            advice.imports.setdefault(root, path)
        elif root not in sys.stdlib_module_names and root not in own:
            advice.imports.setdefault(root, path)


def _look_for_old_numpy(advice: Advice, node: ast.AST, path: str) -> None:
    match node:
        case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name) if name in _GONE:
            advice.old_numpy.setdefault(f"{path}:{node.lineno}", f"np.{name}")
        case ast.Call(func=ast.Attribute(attr="tostring"), args=[]):
            advice.old_numpy.setdefault(f"{path}:{node.lineno}", ".tostring()")
