"""Nothing that is shipped turns data into code: no pickle, eval, exec, shell or unsafe YAML."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SHIPPED = ("src", "components", "lambdas", "infra")
MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle", "jsonpickle"}
NAMES = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "torch.load",
    "subprocess.getoutput",
}
#: What is meant, and why.
EXEMPT: dict[str, dict[str, str]] = {
    "src/vedette/adapters/manifest/hook_files.py": {"compile": "finds mistakes of grammar; nothing of it is run"},
    "src/vedette/local/recipe_yaml.py": {"yaml.load": "with loaders that build plain values and texts only"},
}


def dangerous(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, one.name) for one in node.names if one.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield node.lineno, str(node.module)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in NAMES or name in CALLS:
                yield node.lineno, name
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if keyword.arg in ("shell", "allow_pickle") and value is not False:
                    yield node.lineno, f"{keyword.arg}={ast.unparse(keyword.value)}"


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from marshal import loads",
        "eval(x)",
        "yaml.load(f)",
        "f(shell=True)",
        "np.load(f, allow_pickle=a)",
    ],
)
def test_what_should_be_found_is_found(text: str) -> None:
    assert list(dangerous(ast.parse(text)))


def unexplained(top: Path) -> list[str]:
    """Dangerous calls in a checkout for which no reason is given here."""
    found = []
    for path in (path for part in SHIPPED for path in sorted((top / part).rglob("*.py"))):
        name = path.relative_to(top).as_posix()
        allowed = EXEMPT.get(name, {})
        found += [f"{name}:{at}: {what}" for at, what in dangerous(ast.parse(path.read_text())) if what not in allowed]
    return found


def test_no_data_becomes_code() -> None:
    assert unexplained(REPOSITORY) == []
    assert all(Path(REPOSITORY / name).exists() for name in EXEMPT)
