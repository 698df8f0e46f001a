"""Projects in the layout of AWS Panorama, each in the style of one kind of published application."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

APPS: Final = Path(__file__).parent / "apps"
ACCOUNT: Final = "123456789012"
DETECTOR: Final = {"name": "images", "shape": [1, 3, 416, 416], "type": "float32"}
BRIGHTNESS: Final = {"name": "pictures", "shape": [4, 16, 16, 3], "type": "uint8"}


@dataclass(frozen=True)
class Kind:
    """What a project is made of."""

    code: tuple[str, ...]
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    cameras: tuple[str, ...] = ("front_door",)
    threshold: bool = True
    command: tuple[str, str] = ("python3", "/panorama/app.py")
    arguments: tuple[str, ...] = ()
    routes: tuple[tuple[int, int], ...] = ()
    sink: bool = True
    requirements: tuple[dict[str, Any], ...] = ()
    dockerfile: str = "FROM public.ecr.aws/panorama/panorama-application:1.0.0\nCOPY src /panorama\n"


_DETECTS: Final = {"detector": DETECTOR}
_GPU: Final = {"type": "hardware_access", "nvAccelerators": [{"deviceType": "nvhost_gpu"}]}  # as AWS's own samples

KINDS: Final = {
    "subclass": Kind(("subclass", "yolox"), _DETECTS),
    "composition": Kind(("composition", "yolox"), _DETECTS),
    "worker": Kind(("worker", "yolox"), _DETECTS),
    "several_cameras": Kind(("several_cameras",), threshold=False, cameras=("front_door", "back_door")),
    "several_models": Kind(("several_models", "yolox"), {"detector": DETECTOR, "brightness": BRIGHTNESS}),
    "http_server": Kind(("http_server",), threshold=False, routes=((8080, 8001),), sink=False),
    "opengpu": Kind(
        ("differences",),
        threshold=False,
        command=("bash", "/panorama/start.sh"),
        arguments=("fast",),
        sink=False,
        requirements=(_GPU,),
        dockerfile="FROM trtpt36:latest\nRUN pip3 install opencv-python numpy\nCOPY src/* /panorama/\nENV MODE=fast\n",
    ),
    "storage": Kind(("storage",), threshold=False),
    "preview": Kind(("preview",), threshold=False),
}


def make_project(kind: str, folder: Path) -> Path:
    """Write a project; its folder."""
    made = KINDS[kind]
    name = kind.replace("_", "-")
    root = folder / name
    package = root / "packages" / f"{ACCOUNT}-{name}-code-1.0"
    source = package / "src"
    source.mkdir(parents=True)
    for module in made.code:
        target = "app.py" if module == made.code[0] and made.command[0] != "bash" else f"{module}.py"
        (source / target).write_bytes((APPS / f"{module}.py").read_bytes())
    if made.command[0] == "bash":
        (source / "start.sh").write_bytes((APPS / "start.sh").read_bytes())
    (package / "Dockerfile").write_text(made.dockerfile)
    write(package / "package.json", _code_package(name, made))
    write(package / "descriptor.json", _runtime(made))
    for model, declared in made.models.items():
        _model_package(root, model, declared)
    write(root / "graphs" / name / "graph.json", _graph(name, made))
    (root / "assets").mkdir()
    return root


def write(path: Path, document: Any) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2))


def _code_package(name: str, made: Kind) -> dict[str, Any]:
    inputs: list[dict[str, Any]] = [{"name": "video_in", "type": "media"}]
    if made.threshold:
        inputs.append({"name": "threshold", "type": "float32"})
    interface: dict[str, Any] = {
        "name": f"{name}_code_interface",
        "category": "business_logic",
        "asset": f"{name}_code_asset",
        "inputs": inputs,
        "outputs": [{"description": "Video stream output", "name": "video_out", "type": "media"}],
    }
    if made.routes:
        ports = [{"port": inside, "description": "http"} for inside, _ in made.routes]
        interface["network"] = {"inboundPorts": ports}
    implementation: dict[str, Any] = {"type": "container", "assetUri": ".tar.gz", "descriptorUri": ".json"}
    if made.requirements:
        implementation["requirements"] = list(made.requirements)
    asset = {"name": f"{name}_code_asset", "implementations": [implementation]}
    body = {
        "envelopeVersion": "2021-01-01",
        "name": f"{name}-code",
        "version": "1.0",
        "description": "Code of the application",
        "assets": [asset],
        "interfaces": [interface],
    }
    return {"nodePackage": body}


def _runtime(made: Kind) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": made.command[0], "name": made.command[1]}
    if made.arguments:
        entry["arguments"] = list(made.arguments)
    return {"runtimeDescriptor": {"envelopeVersion": "2021-01-01", "entry": entry}}


def _model_package(root: Path, model: str, declared: dict[str, Any]) -> None:
    package = root / "packages" / f"{ACCOUNT}-{model}-1.0"
    interface = {
        "name": f"{model}_interface",
        "category": "ml_model",
        "asset": f"{model}_asset",
        "inputs": [{"name": "video_in", "type": "media"}],
        "outputs": [{"name": "video_out", "type": "media"}],
    }
    body = {
        "envelopeVersion": "2021-01-01",
        "name": model,
        "version": "1.0",
        "description": "Model",
        "assets": [],  # filled in when the project was packaged
        "interfaces": [interface],
    }
    write(package / "package.json", {"nodePackage": body})
    described = {
        "envelopeVersion": "2021-01-01",
        "framework": "PYTORCH",
        "frameworkVersion": "1.8",
        "precisionMode": "FP16",
        "inputs": [declared],
    }
    write(package / "descriptor.json", {"mlModelDescriptor": described})


def _graph(name: str, made: Kind) -> dict[str, Any]:
    account = "{YourAwsAccountId}"
    packages = [{"name": f"{account}::{name}-code", "version": "1.0"}]
    packages += [{"name": f"{account}::{model}", "version": "1.0"} for model in made.models]
    packages.append({"name": "panorama::abstract_rtsp_media_source", "version": "1.0"})
    nodes: list[dict[str, Any]] = [
        {"name": "code_node", "interface": f"{account}::{name}-code.{name}_code_interface"},
        *({"name": model, "interface": f"{account}::{model}.{model}_interface"} for model in made.models),
    ]
    edges = []
    for camera in made.cameras:
        nodes.append(
            {
                "name": camera,
                "interface": "panorama::abstract_rtsp_media_source.rtsp_v1_interface",
                "overridable": True,
                "launch": "onAppStart",
                "decorator": {"title": "IP camera", "description": "Choose a camera stream."},
            }
        )
        edges.append({"producer": f"{camera}.video_out", "consumer": "code_node.video_in"})
    if made.threshold:
        nodes.append(
            {
                "name": "detection_threshold",
                "interface": "float32",
                "value": 0.45,
                "overridable": True,
                "decorator": {"title": "Detection threshold", "description": "The least score."},
            }
        )
        edges.append({"producer": "detection_threshold", "consumer": "code_node.threshold"})
    if made.sink:
        packages.append({"name": "panorama::hdmi_data_sink", "version": "1.0"})
        nodes.append({"name": "output_node", "interface": "panorama::hdmi_data_sink.hdmi0"})
        edges.append({"producer": "code_node.video_out", "consumer": "output_node.video_in"})
    graph: dict[str, Any] = {"envelopeVersion": "2021-01-01", "packages": packages, "nodes": nodes, "edges": edges}
    if made.routes:
        rules = [{"node": "code_node", "containerPort": inside, "hostPort": out} for inside, out in made.routes]
        graph["networkRoutingRules"] = rules
    return {"nodeGraph": graph}
