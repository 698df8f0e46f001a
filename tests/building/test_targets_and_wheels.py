"""What can be built for which device; wheels by digest; ONNX Runtime as a file."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.building.made_wheels import digest, pin, write_wheel
from vedette.contracts.errors import UsageError
from vedette.contracts.model_card import Target
from vedette.core.fleet.build_target import PYTHONS, Accelerator, BuildPlan, Platform, Runtime, plan_build
from vedette.core.fleet.targets import TARGETS
from vedette.local.building.environment import TargetPython
from vedette.local.building.lock import Pin, read_lock
from vedette.local.building.runtime_wheel import GivenWheel, check_runtime_wheel
from vedette.local.building.wheelhouse import Wheelhouses
from vedette.local.building.wheels import WheelCache, check_tags

HOST = (Platform.AMD64, "3.12")
ARM, AMD = Platform.ARM64, Platform.AMD64
CPU, CUDA, TENSORRT = Accelerator.CPU, Accelerator.CUDA, Accelerator.TENSORRT
ORIN, THOR, XAVIER, NANO = Target.JETSON_ORIN, Target.JETSON_THOR, Target.JETSON_XAVIER, Target.JETSON_NANO


def plan(
    platform: Platform | None = None,
    accelerator: Accelerator = CPU,
    device: Target | None = None,
    python: str | None = None,
    *,
    given: bool = False,
) -> BuildPlan:
    return plan_build(platform, accelerator, device, python, wheel_given=given, host=HOST)


def refused(*arguments: object, given: bool = False) -> UsageError:
    with pytest.raises(UsageError) as caught:
        plan(*arguments, given=given)  # type: ignore[arg-type]
    assert caught.value.code == "V709"
    assert caught.value.hint
    return caught.value


def test_this_machine_is_what_is_built_for_where_nothing_is_said() -> None:
    assert plan() == BuildPlan(AMD, CPU, None, "3.12", (2, 28), Runtime.LOCKED)
    assert plan(ARM).python == "3.11"  # not this machine's: what runs there is not known


@pytest.mark.parametrize(
    ("arguments", "given", "runtime", "python", "glibc"),
    [
        ((AMD, CUDA), False, Runtime.LOCKED_GPU, "3.12", (2, 28)),
        ((None, CUDA, Target.X86_64), False, Runtime.LOCKED_GPU, "3.11", (2, 28)),
        ((None, CUDA, THOR), False, Runtime.LOCKED_GPU, "3.12", (2, 39)),
        ((None, CUDA, THOR), True, Runtime.GIVEN, "3.12", (2, 39)),
        ((None, TENSORRT, THOR), True, Runtime.GIVEN, "3.12", (2, 39)),
        ((None, CUDA, ORIN), True, Runtime.GIVEN, "3.11", (2, 35)),
        ((ARM, TENSORRT, ORIN, "3.13"), True, Runtime.GIVEN, "3.13", (2, 35)),
        ((None, TENSORRT, XAVIER), True, Runtime.GIVEN, "3.11", (2, 31)),
        ((None, CPU, ORIN), False, Runtime.LOCKED, "3.11", (2, 35)),
        ((AMD, TENSORRT), True, Runtime.GIVEN, "3.12", (2, 28)),
    ],
)
def test_what_the_table_allows(
    arguments: tuple[object, ...], given: bool, runtime: Runtime, python: str, glibc: tuple[int, int]
) -> None:
    found = plan(*arguments, given=given)  # type: ignore[arg-type]
    assert (found.runtime, found.python, found.glibc) == (runtime, python, glibc)


@pytest.mark.parametrize(
    ("arguments", "given", "told"),
    [
        ((ARM, CUDA), False, "depends on the kind of device"),
        ((ARM, CUDA), True, "depends on the kind of device"),
        ((None, CUDA, Target.ARM64), False, "depends on the kind of device"),
        ((None, CUDA, ORIN), False, "holds no code for sm_87"),
        ((None, CUDA, XAVIER), False, "JetPack 5"),
        ((None, TENSORRT, THOR), False, "TensorRT is not taken"),
        ((AMD, TENSORRT), False, "TensorRT is not taken"),
        ((None, CPU, NANO), False, "C library 2.27"),
        ((None, CUDA, Target.JETSON_TX2), True, "C library 2.27"),
        ((AMD, CPU, ORIN), False, "jetson-orin is linux/arm64, not linux/amd64"),
        ((ARM, CPU, Target.X86_64), False, "x86-64 is linux/amd64"),
        ((AMD, CPU), True, "is for --accelerator cuda or tensorrt"),
        ((AMD, CPU, None, "3.10"), False, "Python 3.10 is not one"),
        ((AMD, CPU, None, "3.15"), False, "Python 3.15 is not one"),
    ],
)
def test_everything_else_is_refused_with_the_reason(arguments: tuple[object, ...], given: bool, told: str) -> None:
    assert told in refused(*arguments, given=given).message


def test_no_combination_gives_a_gpu_what_the_table_denies() -> None:
    for platform, accelerator, device, python, given in itertools.product(
        (None, *Platform), Accelerator, (None, *Target), (None, *PYTHONS, "3.9"), (False, True)
    ):
        try:
            found = plan(platform, accelerator, device, python, given=given)
        except UsageError:
            continue
        assert found.python in PYTHONS
        assert (found.runtime is Runtime.LOCKED) == (accelerator is CPU)
        if device is not None:
            assert TARGETS[device].runs_onnx
            assert TARGETS[device].architecture == found.platform.architecture
        if found.runtime is Runtime.LOCKED_GPU:
            assert accelerator is CUDA
            assert found.platform is AMD or device is THOR


def test_tags_end_at_the_devices_c_library() -> None:
    python = TargetPython("3.11", "aarch64", (2, 28))
    assert python.platforms()[0] == "manylinux_2_28_aarch64"
    assert python.platforms()[-1] == "manylinux2014_aarch64"
    assert "manylinux1_x86_64" in TargetPython("3.11", "x86_64", (2, 28)).platforms()
    for name in (
        "a-1-cp311-cp311-manylinux_2_28_aarch64.whl",
        "a-1-cp38-abi3-manylinux2014_aarch64.whl",
        "a-1-py2.py3-none-any.whl",
    ):
        check_tags(Path(name), python)
    for name in (
        "a-1-cp311-cp311-manylinux_2_34_aarch64.whl",
        "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "a-1-cp312-abi3-manylinux2014_aarch64.whl",
        "a-1-cp311-cp311-linux_aarch64.whl",
        "a-1-cp311-cp311-musllinux_1_2_aarch64.whl",
    ):
        with pytest.raises(UsageError, match="is not for Python"):
            check_tags(Path(name), python)


def test_the_binary_interface_of_old_pythons_has_a_letter() -> None:
    abis = {version: TargetPython(version, "aarch64", (2, 28)).abi for version in ("3.6", "3.7", "3.8", "3.11")}
    assert abis == {"3.6": "cp36m", "3.7": "cp37m", "3.8": "cp38", "3.11": "cp311"}
    old = TargetPython("3.7", "aarch64", (2, 28))
    for name in (
        "a-1-cp37-cp37m-manylinux2014_aarch64.whl",
        "a-1-cp36-abi3-manylinux2014_aarch64.whl",
        "a-1-cp37-none-any.whl",
    ):
        check_tags(Path(name), old)
    with pytest.raises(UsageError, match="is not for Python"):
        check_tags(Path("a-1-cp37-cp37-manylinux2014_aarch64.whl"), old)


def test_a_lock_is_read_for_an_environment(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    one, two, three = ("1" * 64, "2" * 64, "3" * 64)
    lock.write_text(
        f"# made\nA_b==1.0 ; python_full_version < '3.12' \\\n    --hash=sha256:{one} \\\n    --hash=sha256:{two}\n"
        f"a-b==2.0 ; python_full_version >= '3.12' \\\n    --hash=sha256:{three}\n"
        f"c==1 ; sys_platform == 'win32' --hash=sha256:{one}\n"
    )
    old = read_lock(lock, environment=TargetPython("3.11", "aarch64", (2, 28)).markers())
    assert old.pins == {"a-b": Pin("a-b", "1.0", frozenset({one, two}), old.pins["a-b"].marker)}
    new = read_lock(lock, environment=TargetPython("3.12", "aarch64", (2, 28)).markers())
    assert new.pins["a-b"].version == "2.0"
    with pytest.raises(UsageError, match=r"library zz, which me needs, is not in the lock"):
        new.pin("zz", "me")
    for wrong in ("a>=1 --hash=sha256:" + one, "a==1", "a==1 --hash=md5:00", "-r other.txt"):
        lock.write_text(wrong + "\n")
        with pytest.raises(UsageError, match=r"is not a pinned|no version or no digest"):
            read_lock(lock, environment={})


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that pip can find: a folder."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


TARGET = TargetPython("3.11", "aarch64", (2, 28))


def test_wheels_are_kept_and_compared(index: Path, tmp_path: Path) -> None:
    best = write_wheel(index, "tiny-lib", tags="cp311-cp311-manylinux_2_28_aarch64")
    plain = write_wheel(index, "tiny-lib")
    wanted = pin(best, digest(plain))
    said: list[str] = []
    cache = WheelCache(tmp_path / "cache", said.append)
    (found,) = cache.wheels([wanted], TARGET)
    assert (found.name, found.path.name, found.sha256) == ("tiny-lib", best.name, digest(best))
    assert said == ["downloading tiny-lib"]
    best.unlink()  # offline: the same wheel, though only the other one could be had now
    assert cache.wheels([wanted], TARGET) == [found]
    assert said == ["downloading tiny-lib"]
    found.path.write_bytes(b"damaged")  # a cache is never trusted
    (other,) = cache.wheels([wanted], TARGET)
    assert other.sha256 == digest(plain)


def test_a_wheel_for_another_machine_or_with_another_digest_is_no_wheel(index: Path, tmp_path: Path) -> None:
    cache = WheelCache(tmp_path / "cache")
    foreign = write_wheel(index, "foreign", tags="cp311-cp311-manylinux_2_28_x86_64")
    with pytest.raises(UsageError) as caught:
        cache.wheels([pin(foreign)], TARGET)
    assert caught.value.code == "V710"
    assert "foreign 1.0" in caught.value.message
    changed = write_wheel(index, "changed")
    with pytest.raises(UsageError, match="changed"):
        cache.wheels([Pin("changed", "1.0", frozenset({"0" * 64}))], TARGET)
    assert changed.exists()
    assert not list((tmp_path / "cache").glob("*/*.whl"))


def test_a_cache_that_cannot_be_written_is_told(index: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="wheels cannot be kept there"):
        WheelCache(tmp_path / "file" / "cache").wheels([pin(write_wheel(index, "a"))], TARGET)


@pytest.fixture
def houses(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Wheelhouses]:
    """Wheelhouses by a lock of tiny wheels."""
    locks = tmp_path / "requirements"
    locks.mkdir()
    numpy = write_wheel(index, "numpy", "2.4")
    edge = [
        numpy,
        write_wheel(index, "onnxruntime", "1.32", needs=["numpy>=1.21", "sympy ; extra == 'symbolic'"]),
        write_wheel(index, "old-only", needs=["backport ; python_full_version < '3.12'", "onnxruntime"]),
        write_wheel(index, "backport"),
        write_wheel(index, "greedy", needs=["numpy<2"]),
        write_wheel(index, "lonely", needs=["not-in-the-lock"]),
    ]
    for name, wheels in (
        ("edge", edge),
        ("gpu", [write_wheel(index, "onnxruntime-gpu", "1.31", needs=["numpy"])]),
        ("installer", [write_wheel(index, "pip", "26")]),
    ):
        (locks / f"{name}.txt").write_text("\n".join(pin(wheel).requirement() for wheel in wheels) + "\n")
    monkeypatch.setattr("vedette.local.building.wheelhouse.data_directory", lambda _kind: locks)

    def make(plan: BuildPlan, wheel: GivenWheel | None = None) -> Wheelhouses:
        return Wheelhouses(plan, wheel, WheelCache(tmp_path / "cache"), tmp_path)

    return make


def names(made: Wheelhouses, *libraries: str) -> list[str]:
    return [wheel.name for wheel in made.closure(libraries)]


def test_a_wheelhouse_is_closed_and_has_one_runtime(houses: Callable[..., Wheelhouses], tmp_path: Path) -> None:
    assert names(houses(plan(ARM)), "Old_Only") == ["backport", "numpy", "old-only", "onnxruntime"]
    thor = houses(plan(None, CUDA, THOR))  # Python 3.12
    assert names(thor, "old-only") == ["numpy", "old-only", "onnxruntime-gpu"]
    (tmp_path / "given").mkdir()
    wheel = given(tmp_path / "given", needs=["numpy>=1.21", "coloredlogs", "sympy"])
    made = houses(ORIN_PLAN, wheel)
    assert names(made, "onnxruntime") == ["numpy", "onnxruntime-gpu"]
    members = {member.name: member.source for member in made.members(["onnxruntime"])}
    assert members[f"wheelhouse/{wheel.path.name}"] == wheel.path
    assert f"onnxruntime-gpu==1.20.0 --hash=sha256:{wheel.sha256}".encode() in members["requirements.txt"]  # type: ignore[operator]
    assert members["target"] == b"python=3.11\nmachine=aarch64\naccelerator=cuda\n"


def test_what_the_lock_does_not_have_is_told(houses: Callable[..., Wheelhouses], tmp_path: Path) -> None:
    made = houses(plan(ARM))
    with pytest.raises(UsageError, match=r"library not-in-the-lock, which lonely needs, is not in the lock"):
        made.closure(["lonely"])
    with pytest.raises(UsageError, match=r"greedy-1.0-py3-none-any.whl needs numpy <2; the lock has 2.4"):
        made.closure(["greedy"])
    (tmp_path / "given").mkdir()
    with pytest.raises(UsageError, match=r"needs numpy <2; the lock has 2.4"):
        houses(ORIN_PLAN, given(tmp_path / "given", needs=["numpy<2"])).closure(["onnxruntime"])


ORIN_PLAN = BuildPlan(ARM, CUDA, ORIN, "3.11", (2, 35), Runtime.GIVEN)
CUDA_FILE, TENSORRT_FILE = "libonnxruntime_providers_cuda.so", "libonnxruntime_providers_tensorrt.so"


def given(folder: Path, **settings: object) -> GivenWheel:
    options: dict[str, object] = {
        "name": "onnxruntime-gpu",
        "version": "1.20.0",
        "tags": "cp311-cp311-linux_aarch64",
        "files": [CUDA_FILE],
    }
    path = write_wheel(folder, **{**options, **settings})  # type: ignore[arg-type]
    return GivenWheel(path, digest(path))


def test_nvidias_own_wheel_is_taken(tmp_path: Path) -> None:
    wheel = check_runtime_wheel(given(tmp_path), ORIN_PLAN)
    assert (wheel.name, wheel.version) == ("onnxruntime-gpu", "1.20.0")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: given(folder, tags="cp310-cp310-linux_aarch64"), "JetPack's own Python 3.10 is no choice"),
        (lambda folder: given(folder, tags="cp312-cp312-linux_aarch64"), "it is for cp312"),
        (lambda folder: given(folder, tags="cp311-cp311-linux_x86_64"), "not for aarch64"),
        (lambda folder: given(folder, tags="cp311-cp311-manylinux_2_39_aarch64"), "with glibc 2.35"),
        (lambda folder: given(folder, name="torch"), "no wheel of ONNX Runtime by its name"),
        (lambda folder: given(folder, says="torch"), "it says of itself that it is torch"),
        (lambda folder: given(folder, files=[TENSORRT_FILE]), f"it has no {CUDA_FILE}"),
        (lambda folder: GivenWheel(given(folder).path, "0" * 64), "not the one given"),
        (lambda folder: GivenWheel(folder / "gone.whl", "0" * 64), "No such file"),
        (lambda folder: GivenWheel(folder, "0" * 64), "Is a directory"),
    ],
)
def test_any_other_wheel_is_refused(make: Callable[[Path], GivenWheel], told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        check_runtime_wheel(make(tmp_path), ORIN_PLAN)
    assert caught.value.code == "V709"
    assert told in caught.value.message


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "onnxruntime_gpu-1.20.0-cp311-cp311-linux_aarch64.whl"
    path.write_bytes(b"not a wheel")
    with pytest.raises(UsageError, match="cannot be read as a wheel"):
        check_runtime_wheel(GivenWheel(path, digest(path)), ORIN_PLAN)
