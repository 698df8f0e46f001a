"""Which model goes which way to which device, for every combination that the lists know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloud.models import CARD_YAML, ONNX, card
from vedette.contracts.errors import CloudError
from vedette.contracts.model_card import Framework, Target
from vedette.core.fleet.compile_plan import Path, plan, plan_target
from vedette.core.fleet.model_yaml import parse_model_card
from vedette.core.fleet.neo import NEO_FRAMEWORKS, check_compilation_job, neo_job, neo_objection
from vedette.core.fleet.onnx_header import read_onnx_header
from vedette.core.fleet.targets import TARGETS

JETPACK4 = (Target.JETSON_NANO, Target.JETSON_TX1, Target.JETSON_TX2, Target.JETSON_XAVIER)
NEW_JETSONS = (Target.JETSON_ORIN, Target.JETSON_THOR)
NHWC = {"images": {"shape": [1, 64, 64, 3], "layout": "NHWC"}}


def make(framework: Framework, family: str, target: Target) -> Any:
    """The newest listed model of a framework."""
    listed = NEO_FRAMEWORKS[framework]
    version = ".".join(map(str, listed.versions[-1])) if listed.versions else None
    last = framework in (Framework.TENSORFLOW, Framework.TFLITE)
    return card(
        framework=framework.value,
        framework_version=version,
        opset=12 if framework is Framework.ONNX else None,
        family=family,
        file=f"net{listed.file or '.tar.gz'}",
        inputs=NHWC if last else {"images": {"shape": [1, 3, 64, 64]}},
        targets=[target.value],
    )


def expected(framework: Framework, family: str, target: Target) -> Path:
    detects = framework not in (Framework.ONNX, Framework.KERAS)
    listed = target not in NEW_JETSONS and (detects or family == "classifier")
    if framework is Framework.ONNX:
        if target in JETPACK4 and listed:
            return Path.NEO
        return Path.REFUSED if target in JETPACK4[:3] else Path.ONNX
    return Path.NEO if listed else Path.REFUSED


@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("family", ["yolox", "classifier"])
@pytest.mark.parametrize("framework", Framework)
def test_every_combination_has_one_way(framework: Framework, family: str, target: Target) -> None:
    model = make(framework, family, target)
    (found,) = plan(model)
    assert found.path is expected(framework, family, target)
    if found.path is Path.NEO:
        assert found.job is not None
        assert found.runtime == "dlr"
        request = {
            "InputConfig": found.job.input_config("s3://b/k"),
            "OutputConfig": found.job.output_config("s3://b/out/", "key"),
        }
        assert check_compilation_job(request) is None
    elif found.path is Path.REFUSED:
        assert "What would work: " in found.reason
        assert target.value in found.reason
        assert found.runtime == ""


def test_all_targets_are_described() -> None:
    assert list(TARGETS) == list(Target)
    assert {facts.sm for facts in TARGETS.values() if facts.neo and facts.neo.device} == {"sm_53", "sm_62", "sm_72"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"framework_version": "2.1"}, "lists pytorch up to 1.8; this model is of 2.1"),
        ({"framework_version": None}, "needs `framework_version` for pytorch, 1.8 or earlier"),
        ({"file": "parts.pt"}, "one .pth file; `file` is parts.pt"),
        ({"inputs": NHWC}, "takes pytorch inputs as NCHW; 'images' is NHWC"),
        ({"inputs": {"images": {"shape": [1, 3, 64, 64], "dtype": "uint8"}}}, "the input 'images' is uint8"),
        (
            {"inputs": {"images": {"shape": [1, 3, 64, 64], "layout": "other"}}},
            "needs the layout of the input 'images'",
        ),
        ({"framework": "mxnet", "file": "net.params"}, "more than one file; pack them as .tar.gz"),
        ({"framework": "tensorflow", "framework_version": "2.4", "file": "net.pb"}, "inputs as NHWC; 'images' is NCHW"),
        ({"framework": "tensorflow", "framework_version": "2.5", "file": "net.pb", "inputs": NHWC}, "up to 2.4"),
        (
            {"framework": "onnx", "framework_version": None, "opset": 17, "family": "classifier", "file": "a.onnx"},
            "opset 12; this file has opset 17",
        ),
    ],
)
def test_what_neo_does_not_list_is_refused_before_any_job(changes: dict[str, Any], words: str) -> None:
    objection = neo_objection(card(**changes), Target.JETSON_XAVIER)
    assert words in objection


def test_an_older_model_counts_as_the_next_listed_version() -> None:
    assert neo_job(card(framework_version="1.4.0"), Target.JETSON_TX2).framework_version == "1.7"
    job = neo_job(card(framework="tensorflow", framework_version="2.1", file="net.pb", inputs=NHWC), Target.JETSON_NANO)
    assert job.framework_version == "2.4"
    assert json.loads(job.output["CompilerOptions"]) == {"JETPACK_VERSION": "4.6", "gpu_code": "sm_53"}


def test_keras_shapes_are_turned_round() -> None:
    model = card(framework="keras", framework_version="2.2", file="n.h5", family="classifier", inputs=NHWC)
    assert json.loads(neo_job(model, Target.JETSON_TX2).data_input) == {"images": [1, 3, 64, 64]}


def test_versions_on_the_device_can_be_given() -> None:
    own = card(compiler_options={"jetson-xavier": {"trt_ver": "7.1.3", "cuda_ver": "10.2"}})
    job = neo_job(own, Target.JETSON_XAVIER)
    assert json.loads(job.output["CompilerOptions"]) == {"gpu-code": "sm_72", "trt-ver": "7.1.3", "cuda-ver": "10.2"}


def test_a_refusal_names_what_would_work() -> None:
    refused = plan_target(card(targets=["jetson-orin"]), Target.JETSON_ORIN)
    assert "Neo does not list jetson-orin; only ONNX models run without Neo" in refused.reason
    assert "an export to ONNX for jetson-orin; this file for jetson-nano" in refused.reason
    old = card(framework="onnx", framework_version=None, file="a.onnx", opset=17, targets=["jetson-nano"])
    reason = plan_target(old, Target.JETSON_NANO).reason
    assert "PyTorch 1.8 or earlier" in reason
    assert "jetson-orin" in reason
    assert "do not load on JetPack 4.6" in reason


GOOD_REQUEST: dict[str, Any] = {
    "InputConfig": neo_job(card(), Target.JETSON_XAVIER).input_config("s3://b/k"),
    "OutputConfig": neo_job(card(), Target.JETSON_XAVIER).output_config("s3://b/o/", "key"),
}


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("InputConfig", {"Framework": "CAFFE"}, "Framework 'CAFFE' is not supported"),
        ("InputConfig", {"FrameworkVersion": "2.1"}, "PYTORCH version 2.1 is not supported"),
        ("InputConfig", {"FrameworkVersion": "latest"}, "PYTORCH version latest is not supported"),
        ("InputConfig", {"DataInputConfig": "{"}, "not valid JSON"),
        ("InputConfig", {"DataInputConfig": "{}"}, "names no input"),
        ("InputConfig", {"DataInputConfig": '{"a":[0,3,4,4]}'}, "Input a has no fixed shape"),
        ("InputConfig", {"DataInputConfig": '{"a":[1,64,64,3]}'}, "should be provided in NCHW format"),
        ("OutputConfig", {"TargetDevice": "jetson_orin"}, "TargetDevice 'jetson_orin' is not supported"),
        ("OutputConfig", {"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64"}}, "exactly one of"),
        ("OutputConfig", {"CompilerOptions": "gpu"}, "CompilerOptions is not valid JSON"),
        ("OutputConfig", {"CompilerOptions": "{}"}, "gpu-code, trt-ver, cuda-ver are required"),
        (
            "OutputConfig",
            {"CompilerOptions": '{"gpu-code":"sm_87","trt-ver":"8.2.1","cuda-ver":"10.2"}'},
            "jetson_xavier needs gpu-code sm_72, found sm_87",
        ),
    ],
)
def test_the_check_of_jobs_fails_like_neo(part: str, changes: dict[str, Any], words: str) -> None:
    assert check_compilation_job(GOOD_REQUEST) is None
    request = GOOD_REQUEST | {part: GOOD_REQUEST[part] | changes}
    reason = check_compilation_job(request)
    assert reason is not None
    assert words in reason


# --- model.yaml ---


def test_a_description_is_read() -> None:
    read = parse_model_card(CARD_YAML, "model.yaml")
    assert (read.name, read.opset, read.inputs["images"].shape) == ("parts", 17, (1, 3, 64, 64))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"1.0.0", b"1.0.0.0", "model.yaml:3:10: error: version: found '1.0.0.0'"),
        (b"framework: onnx", b"framework: caffe", "model.yaml:4:12: error: framework: found 'caffe'"),
        (b"opset: 17", b"opsets: 17", "model.yaml:5:1: error: opsets: unknown field"),
        (b"NCHW", b"CHWN", "inputs.images.layout: found 'CHWN'"),
        (b"[1, 3, 64, 64]", b"[1, 3, -1, 64]", "inputs.images.shape[2]: found -1"),
        (b"[1, 3, 64, 64]", b"[1, 3, 64]", "layout NCHW has 4 dimensions; shape has 3"),
        (b"jetson-orin]", b"jetson-orion]", "targets[1]: found 'jetson-orion'"),
        (b"jetson-orin]", b"x86-64]", "targets: each target once"),
        (b"family: yolox\n", b"", "error: family: is missing"),
        (b"family: yolox", b"family: codes", "family codes comes with the program"),
        (b"file: parts.onnx", b"file: ../parts.onnx", "error: file: found '../parts.onnx'"),
        (b"labels: [good, bad]", b"labels: 5", "error: labels: found 5"),
        (b"labels: [good, bad]", b"labels: [good, 5]", "error: labels[1]: found 5"),
        (b"framework: onnx", b"framework: onnx\nframework_version: 1.7", "framework_version: found 1.7"),
        (b"framework: onnx", b"framework: pytorch", "`opset` is for the framework onnx"),
        (b"file: parts.onnx", b"file: model.yaml", "`file` is the model"),
        (b"api: ", b"\tapi: ", "not valid YAML"),
        (CARD_YAML, b"", "first of all `api: vedette-model/v1`"),
        (CARD_YAML, b"\xff\xfe", "not UTF-8 text"),
        (CARD_YAML, b"a" * (300 << 10), "larger than 256 KiB"),
        (b"name: parts", b"name: parts\nname: other", "stands here twice"),
        (
            b"labels: [good, bad]",
            b"compiler_options: {jetson-tx2: {trt_ver: 8.2.1, cuda_ver: '10.2'}}",
            "for jetson-tx2, which is not among `targets`",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(old: bytes, new: bytes, words: str) -> None:
    with pytest.raises(CloudError) as caught:
        parse_model_card(CARD_YAML.replace(old, new), "model.yaml")
    assert caught.value.code == "V005"
    assert words in caught.value.message, caught.value.message


def test_all_mistakes_are_told_at_once() -> None:
    text = CARD_YAML.replace(b"1.0.0", b"one").replace(b"onnx\n", b"onyx\n", 1).replace(b"family: yolox\n", b"")
    with pytest.raises(CloudError, match="3 mistakes"):
        parse_model_card(text, "model.yaml")


# --- the file ---


def test_the_header_of_a_model_is_read() -> None:
    header = read_onnx_header(memoryview(ONNX), "a.onnx")
    assert (header.opset, header.producer) == (17, "vedette")
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in header.inputs] == [
        ("images", "float32", (1, 3, 64, 64))
    ]
    assert header.outputs[0].shape == (1, 84, 7)


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01", b"<html>", ONNX[:200], b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
)
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(CloudError) as caught:
        read_onnx_header(memoryview(content), "a.onnx")
    assert caught.value.code == "V006"
    assert "a.onnx" in caught.value.message


def test_weights_in_other_files_are_refused() -> None:
    import onnx

    model = onnx.load_from_string(ONNX)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "/etc/passwd")
    with pytest.raises(CloudError, match="external data"):
        read_onnx_header(memoryview(model.SerializeToString()), "a.onnx")
