"""The business logic: which files are its code, how it is started, what it needs to run."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any, Final

from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest.panorama import CODE_FOLDER
from vedette.core.panorama_import.dockerfile import Dockerfile, read_dockerfile
from vedette.core.panorama_import.project import (
    Category,
    Graph,
    Node,
    PackageFiles,
    ProjectFiles,
    descriptor,
    entries,
    implementation,
    text,
)
from vedette.core.panorama_import.report import Outcome, Row
from vedette.core.panorama_import.sources import Advice, packages_of, read_sources

_HARDWARE: Final = (
    "Models that the code runs on a GPU itself need CUDA packages of the interpreter and a device that gives it one. "
    "Here its processes get no device. Give it a model node instead, or run it on the processor."
)
#: What is in every interpreter that can be used here, or comes with the SDK.
_ALWAYS_THERE: Final = frozenset({"panoramasdk", "pip", "setuptools", "wheel", "pkg_resources"})
#: Package → packages that always come with it.
_BRINGS: Final = {"boto3": ("botocore",), "opencv-python": ("numpy",), "opencv-python-headless": ("numpy",)}


@dataclass(slots=True)
class Code:
    """What the code is.

    Attributes:
        node: of the graph.
        package: its files.
        copies: file in the package → file below ``code``.
        section: fields of ``panorama`` that follow from it.
        requirements: text of the file; empty where it needs nothing.
        rows: what is to be said.
    """

    node: Node
    package: PackageFiles
    copies: dict[str, str]
    section: dict[str, Any] = field(default_factory=dict)
    requirements: str = ""
    rows: list[Row] = field(default_factory=list)


def find_code(graph: Graph, files: ProjectFiles) -> Code:
    """The one business logic node of a graph, its files, how it is started.

    Raises:
        ConfigurationError: V102, there is none, or more than one; or it was written for the preview.
    """
    nodes = [node for node in graph.nodes.values() if node.category is Category.CODE and node.package is not None]
    if len(nodes) != 1:
        names = ", ".join(node.name for node in nodes) or "none"
        raise ConfigurationError(
            f"{files.graph.path}: an application has one node with business logic; here there is {names}.",
            hint="Check `interface` of the nodes, and that the package's folder lies below `packages`.",
            code="V102",
        )
    node = nodes[0]
    package = node.package
    assert package is not None
    advice = read_sources(package.sources)
    if advice.preview:
        raise ConfigurationError(
            f"{package.folder}/{advice.preview} is written for the preview of AWS Panorama (`panoramasdk.base`).",
            hint="Such applications ran as Lambda functions, with entry(inputs, outputs). Rewrite its loop for "
            "panoramasdk.node: pictures come from node.inputs.<port>.get(), models are called with node.call().",
            code="V102",
        )
    docker = read_dockerfile(package.dockerfile)
    code = Code(node, package, _copies(package, docker))
    _start(code, files, docker)
    _needs(code, docker, advice)
    _say_more(code, docker, advice)
    return code


def _copies(package: PackageFiles, docker: Dockerfile) -> dict[str, str]:
    """As the Dockerfile copies them to ``/panorama``; without one ``src``, or everything that is no description."""
    copies: dict[str, str] = {}
    for source, target in docker.copies:
        for file in package.files:
            if source == "." or file.startswith(f"{source}/"):
                inside = file if source == "." else file.removeprefix(f"{source}/")
                copies[file] = posixpath.normpath(posixpath.join(target, inside))
            elif file == source:
                name = posixpath.basename(file)
                copies[file] = posixpath.join(target, name) if target.endswith("/") or not target else target
    if copies:
        return {file: target.lstrip("/") for file, target in copies.items()}
    if any(file.startswith("src/") for file in package.files):
        return {file: file.removeprefix("src/") for file in package.files if file.startswith("src/")}
    described = re.compile(r"^(package|descriptor[^/]*)\.json$|^Dockerfile[^/]*$|^\.")
    return {file: file for file in package.files if not described.match(file)}


def _start(code: Code, files: ProjectFiles, docker: Dockerfile) -> None:
    """Command, arguments, environment, version of Python."""
    found = descriptor(files, code.package, code.node.interface, "runtimeDescriptor")
    body, place = found if found is not None else ({}, f"{code.package.folder}/descriptor.json")
    entry = body.get("entry")
    entry = entry if isinstance(entry, dict) else {}
    command, name = text(entry.get("path")) or "$default", text(entry.get("name"))
    arguments = [str(one) for one in entry.get("arguments") or () if isinstance(one, str | int | float)]
    if command == "$default":
        command = "bash" if name.endswith(".sh") else "python3"
    if not name:
        name = _guessed(code)
    code.section["entry"] = [command, name, *arguments]
    environment = {
        text(one.get("name")): str(one.get("value", ""))
        for _, one in entries(entry.get("environment"))
        if one.get("name")
    }
    if environment:
        code.section["environment"] = environment
    version = re.search(r"python(3\.\d{1,2})$", command)
    python = version[1] if version else docker.python
    if python:
        code.section["python"] = python
    there = name.removeprefix(f"{CODE_FOLDER}/") in code.copies.values()
    line = " ".join(code.section["entry"])
    if there:
        code.rows.append(Row(Outcome.MAPPED, "entry", f"`panorama.entry`: {line}", place))
    else:
        code.rows.append(
            Row(
                Outcome.NEEDS_YOU,
                "entry",
                f"{name} is not among the files of the package",
                place,
                f"Put the file below `code`, which the application sees as `{CODE_FOLDER}`, or correct "
                "`panorama.entry` in vedette.yaml.",
            )
        )


def _guessed(code: Code) -> str:
    scripts = sorted(file for file in code.copies.values() if file.endswith(".py"))
    likely = [file for file in scripts if file in ("app.py", "application.py", "main.py")] or scripts
    return f"{CODE_FOLDER}/{likely[0]}" if likely else f"{CODE_FOLDER}/app.py"


def _needs(code: Code, docker: Dockerfile, advice: Advice) -> None:
    """Packages: the package's own file, what the Dockerfile installs, and what is imported besides."""
    listed = code.package.requirements.rstrip()
    lines = [listed] if listed else []
    names = {re.split(r"[\[=<>!~; ]", line.strip(), maxsplit=1)[0].casefold() for line in listed.splitlines()}
    more = [one for one in docker.packages if re.split(r"[\[=<>!~]", one, maxsplit=1)[0].casefold() not in names]
    if more:
        lines += ["# installed by the Dockerfile:", *more]
        names |= {re.split(r"[\[=<>!~]", one, maxsplit=1)[0].casefold() for one in more}
    missing = [one for one in packages_of(set(advice.imports) - _ALWAYS_THERE) if one.casefold() not in names]
    missing = [one for one in missing if one.replace("-headless", "").casefold() not in names]
    brought = {each for one, more in _BRINGS.items() if one in names for each in more}
    missing = [one for one in missing if one not in brought]
    if not lines and not missing:
        return
    if lines:
        code.requirements = "\n".join(lines) + "\n"
        code.section["requirements"] = "requirements.txt"
        code.rows.append(
            Row(
                Outcome.MAPPED,
                "Python packages",
                f"requirements.txt: {', '.join(sorted(filter(None, names)))}",
                f"{code.package.folder}/requirements.txt, Dockerfile",
            )
        )
    if "opencv-python" in names:
        code.rows.append(
            Row(
                Outcome.NEEDS_YOU,
                "opencv-python",
                "needs libGL, which devices without a screen seldom have",
                f"{code.package.folder}/requirements.txt",
                "Put `opencv-python-headless` in its place: the same, without windows.",
            )
        )
    usual = {"numpy", "opencv-python-headless"}
    if set(missing) - usual or (missing and lines):
        code.rows.append(
            Row(
                Outcome.NEEDS_YOU,
                "imported packages",
                f"{', '.join(missing)} are imported, and neither listed nor installed by the Dockerfile",
                code.package.folder,
                "The base image had them, or they are not used. Add what is needed to `requirements.txt` and say "
                "`requirements: requirements.txt` below `panorama`; the versions of that time fit the code best.",
            )
        )


def _say_more(code: Code, docker: Dockerfile, advice: Advice) -> None:
    """What else is to be known before it runs."""
    rows, folder = code.rows, code.package.folder
    rows.append(Row(Outcome.MAPPED, "code", f"{len(code.copies)} files, unchanged, in `code`", folder))
    if docker.base:
        python = code.section.get("python", "")
        rows.append(
            Row(
                Outcome.DROPPED,
                f"base image {docker.base}",
                "no image is needed: the code runs with an interpreter of this machine"
                + (f", best Python {python}" if python else ""),
                f"{folder}/Dockerfile",
            )
        )
    for what, found, why in (
        ("commands of the Dockerfile", docker.other, "what they install has to be on the machine, if it is needed"),
        ("copies of the Dockerfile", docker.elsewhere, f"only what lies below {CODE_FOLDER} is there"),
        ("ENV of the Dockerfile", docker.environment, "had no effect on the appliance either"),
    ):
        if found:
            rows.append(Row(Outcome.DROPPED, what, f"{'; '.join(found)[:300]}: {why}", f"{folder}/Dockerfile"))
    for _, requirement in entries(implementation(code.package, code.node.interface).get("requirements")):
        kind = text(requirement.get("type"))
        if kind == "hardware_access":
            place = f"{folder}/package.json"
            rows.append(Row(Outcome.NEEDS_YOU, "hardware_access", "direct use of the GPU", place, _HARDWARE))
        elif kind:
            rows.append(Row(Outcome.DROPPED, f"requirement {kind}", "of the appliance", f"{folder}/package.json"))
    if not advice.uses_sdk:
        rows.append(
            Row(Outcome.NEEDS_YOU, "panoramasdk", "no file imports it", folder, "Check that the code is complete.")
        )
    _say_versions(code, advice)
    if advice.cloud:
        rows.append(
            Row(
                Outcome.NEEDS_YOU,
                "network",
                f"{', '.join(sorted(advice.cloud))} in {', '.join(sorted(set(advice.cloud.values())))}",
                folder,
                "The code reaches no host but those that `panorama.network` names, such as "
                "`s3.eu-west-1.amazonaws.com:443`; it finds the way in HTTPS_PROXY. A device has to allow it, too: "
                "`allowNetwork: always`. For messages and uploads, actions and evidence of the manifest are the safer "
                "way: they are delivered after an outage, too.",
            )
        )


def _say_versions(code: Code, advice: Advice) -> None:
    folder = code.package.folder
    if advice.old_numpy:
        places = ", ".join(f"{name} in {place}" for place, name in list(advice.old_numpy.items())[:5])
        code.rows.append(
            Row(
                Outcome.NEEDS_YOU,
                "old NumPy",
                f"{places}{' and more' if len(advice.old_numpy) > 5 else ''}",
                folder,
                "NumPy 1.24 took these names away (2.3 `tostring`). Put `numpy<1.24` into requirements.txt and use an "
                "interpreter that has it (Python 3.8 to 3.11), or replace them (`np.float` is `float`).",
            )
        )
    for path, why in advice.syntax.items():
        code.rows.append(
            Row(
                Outcome.NEEDS_YOU,
                f"{path} cannot be read by this Python",
                why,
                f"{folder}/{path}",
                "Run it with the version that it was written for: `--app-python`.",
            )
        )
