"""Requests to the kernel's GPIO interface: their bytes, and what comes of its answers.

There is no GPIO chip where these tests run (nor the kernel's simulators): a stand-in for the system call takes the
requests apart as ``linux/gpio.h`` has them. No signal of a line was ever seen.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.outbox.samples import row
from vedette.adapters.actions.gpio import GpioLine
from vedette.adapters.egress import gpio
from vedette.adapters.egress.gpio import GpioOutput, GpioSettings
from vedette.adapters.secrets import SecretStore
from vedette.compose.lines import make_line
from vedette.contracts.errors import DeliveryError
from vedette.contracts.manifest import GpioAction

# -- the bytes, against the kernel's own header -----------------------------------------------------------------------

PROGRAM = r"""
#include <linux/gpio.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#define P(name, value) printf("%s %lu\n", name, (unsigned long)(value))
int main(void) {
  P("GET_CHIP_INFO", GPIO_GET_CHIPINFO_IOCTL);
  P("GET_LINE_INFO", GPIO_V2_GET_LINEINFO_IOCTL);
  P("GET_LINE", GPIO_V2_GET_LINE_IOCTL);
  P("GET_VALUES", GPIO_V2_LINE_GET_VALUES_IOCTL);
  P("SET_VALUES", GPIO_V2_LINE_SET_VALUES_IOCTL);
  P("CHIP_INFO", sizeof(struct gpiochip_info));
  P("LINE_INFO", sizeof(struct gpio_v2_line_info));
  P("LINE_REQUEST", sizeof(struct gpio_v2_line_request));
  P("LINE_VALUES", sizeof(struct gpio_v2_line_values));
  P("FLAG_USED", GPIO_V2_LINE_FLAG_USED);
  P("FLAG_ACTIVE_LOW", GPIO_V2_LINE_FLAG_ACTIVE_LOW);
  P("FLAG_OUTPUT", GPIO_V2_LINE_FLAG_OUTPUT);
  P("ATTRIBUTE_OUTPUT_VALUES", GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES);
  struct gpio_v2_line_request request;
  memset(&request, 0, sizeof request);
  request.offsets[0] = 17;
  strcpy(request.consumer, "vedette");
  request.config.flags = GPIO_V2_LINE_FLAG_OUTPUT | GPIO_V2_LINE_FLAG_ACTIVE_LOW;
  request.config.num_attrs = 1;
  request.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
  request.config.attrs[0].attr.values = 0;
  request.config.attrs[0].mask = 1;
  request.num_lines = 1;
  request.fd = -1;
  printf("request ");
  for (size_t at = 0; at < sizeof request; at++) printf("%02x", ((unsigned char *)&request)[at]);
  printf("\n");
  struct gpio_v2_line_info info;
  memset(&info, 0, sizeof info);
  strcpy(info.name, "PAC.06"); strcpy(info.consumer, "sysfs"); info.offset = 5; info.flags = 9;
  printf("info ");
  for (size_t at = 0; at < sizeof info; at++) printf("%02x", ((unsigned char *)&info)[at]);
  printf("\n");
  return 0;
}
"""


def test_every_byte_is_as_a_compiler_makes_it_of_the_kernels_header(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/linux/gpio.h").is_file():
        pytest.skip("needs a C compiler and the kernel's headers (build-essential)")
    (tmp_path / "p.c").write_text(PROGRAM)
    subprocess.run([compiler, "-o", tmp_path / "p", tmp_path / "p.c"], check=True, timeout=60)
    lines = subprocess.run([tmp_path / "p"], check=True, capture_output=True, text=True, timeout=10).stdout.splitlines()
    found = dict(line.split() for line in lines)
    for name in ("GET_CHIP_INFO", "GET_LINE_INFO", "GET_LINE", "GET_VALUES", "SET_VALUES", "FLAG_USED",
                 "FLAG_ACTIVE_LOW", "FLAG_OUTPUT", "ATTRIBUTE_OUTPUT_VALUES"):  # fmt: skip
        assert getattr(gpio, name) == int(found[name]), name
    for name in ("CHIP_INFO", "LINE_INFO", "LINE_REQUEST", "LINE_VALUES"):
        assert getattr(gpio, name).size == int(found[name]), name
    kernel = Kernel()
    with pytest.raises(DeliveryError):
        GpioOutput(GpioSettings("/dev/null", 17, None, True), ioctl=kernel.refusing(errno.EIO)).open()
    assert kernel.requests[-1].hex() == found["request"]
    name, consumer, offset, _, flags, _ = gpio.LINE_INFO.unpack(bytes.fromhex(found["info"]))
    assert (name.rstrip(b"\0"), consumer.rstrip(b"\0"), offset, flags) == (b"PAC.06", b"sysfs", 5, 9)


def test_the_numbers_are_those_of_linux() -> None:
    """As printed by the program above on x86-64; aarch64 has the same."""
    assert [hex(number) for number in (gpio.GET_CHIP_INFO, gpio.GET_LINE_INFO, gpio.GET_LINE)] == [
        "0x8044b401", "0xc100b405", "0xc250b407",
    ]  # fmt: skip
    assert [hex(number) for number in (gpio.GET_VALUES, gpio.SET_VALUES)] == ["0xc010b40e", "0xc010b40f"]


# -- what comes of the answers ----------------------------------------------------------------------------------------


class Attribute(ctypes.Structure):
    _fields_ = (
        ("id", ctypes.c_uint32), ("padding", ctypes.c_uint32), ("values", ctypes.c_uint64), ("mask", ctypes.c_uint64),
    )  # fmt: skip


class Request(ctypes.Structure):
    """struct gpio_v2_line_request, written down from the header a second time."""

    _fields_ = (
        ("offsets", ctypes.c_uint32 * 64),
        ("consumer", ctypes.c_char * 32),
        ("flags", ctypes.c_uint64),
        ("num_attrs", ctypes.c_uint32),
        ("padding", ctypes.c_uint32 * 5),
        ("attrs", Attribute * 10),
        ("num_lines", ctypes.c_uint32),
        ("event_buffer_size", ctypes.c_uint32),
        ("padding2", ctypes.c_uint32 * 5),
        ("fd", ctypes.c_int32),
    )


class Kernel:
    """Stands in for ``ioctl`` on a chip of four lines; the third is called PAC.06 and may be in use."""

    NAMES = (b"", b"PAC.05", b"PAC.06", b"PAC.07")

    def __init__(self, user: bytes = b"") -> None:
        self.requests: list[bytes] = []
        self.user = user
        self.active: bool | None = None
        self.history: list[bool] = []
        self.stuck = False
        self.flags = 0
        self.offset = -1
        self.line = -1

    def refusing(self, number: int) -> Any:
        def ioctl(descriptor: int, request: int, argument: bytearray) -> int:
            if request == gpio.GET_LINE:
                self.requests.append(bytes(argument))
                raise OSError(number, os.strerror(number))
            if request == gpio.GET_CHIP_INFO:
                argument[:] = gpio.CHIP_INFO.pack(b"gpiochip0", b"test", 64)
                return 0
            return self.ioctl(descriptor, request, argument)

        return ioctl

    def ioctl(self, descriptor: int, request: int, argument: bytearray) -> int:
        if request == gpio.GET_CHIP_INFO:
            argument[:] = gpio.CHIP_INFO.pack(b"gpiochip0", b"test", len(self.NAMES))
        elif request == gpio.GET_LINE_INFO:
            offset = gpio.LINE_INFO.unpack(argument)[2]
            flags = gpio.FLAG_USED if self.user else 0
            argument[:] = gpio.LINE_INFO.pack(self.NAMES[offset], self.user, offset, 0, flags, b"")
        elif request == gpio.GET_LINE:
            self._request(Request.from_buffer(argument))
        elif request == gpio.SET_VALUES:
            assert descriptor == self.line
            bits, mask = gpio.LINE_VALUES.unpack(argument)
            assert mask == 1
            self._set(bool(bits & 1))
        elif request == gpio.GET_VALUES:
            assert descriptor == self.line
            assert gpio.LINE_VALUES.unpack(argument)[1] == 1
            argument[:] = gpio.LINE_VALUES.pack(int(bool(self.active)), 1)
        else:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        return 0

    def _request(self, request: Request) -> None:
        if self.user:
            raise OSError(errno.EBUSY, "Device or resource busy")
        assert request.num_lines == 1
        assert request.consumer == b"vedette"
        assert request.num_attrs == 1
        assert request.attrs[0].id == gpio.ATTRIBUTE_OUTPUT_VALUES
        assert request.attrs[0].mask == 1
        self.offset, self.flags = request.offsets[0], request.flags
        self._set(bool(request.attrs[0].values & 1))
        self.line = request.fd = os.open("/dev/null", os.O_RDWR)

    def _set(self, active: bool) -> None:
        self.history.append(active)
        if not self.stuck:
            self.active = active


def output(kernel: Kernel, **fields: Any) -> GpioOutput:
    known = {"chip": "/dev/null", "offset": 2, "name": None, "active_low": False}
    return GpioOutput(GpioSettings(**{**known, **fields}), ioctl=kernel.ioctl)


def test_a_signal() -> None:
    kernel = Kernel()
    one = GpioLine(output(kernel))
    one.mend()
    assert kernel.history == [False], "at rest from the first moment"
    one.on(row(1))
    one.off()
    assert kernel.history == [False, True, False]
    assert (kernel.offset, kernel.flags) == (2, gpio.FLAG_OUTPUT)
    one.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(kernel.line)
    one.close()


def test_active_low() -> None:
    kernel = Kernel()
    output(kernel, active_low=True).open()
    assert kernel.flags == gpio.FLAG_OUTPUT | gpio.FLAG_ACTIVE_LOW
    os.close(kernel.line)


def test_a_line_by_its_name() -> None:
    kernel = Kernel()
    one = output(kernel, offset=None, name="PAC.06")
    one.open()
    assert kernel.offset == 2
    one.close()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"chip": "/dev/gpiochip99"}, "No such file"),
        ({"offset": 4}, "has 4 lines, from 0 to 3"),
        ({"offset": None, "name": "PXX.00"}, "no line of that name"),
        ({"offset": None, "name": "PAC"}, "no line of that name"),
    ],
)
def test_a_line_that_is_not_there(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(DeliveryError, match=words) as caught:
        output(Kernel(), **fields).open()
    assert (caught.value.code, caught.value.retryable) == ("V506", True)


def test_a_line_that_is_somebody_elses() -> None:
    with pytest.raises(DeliveryError, match="in use by fan-control") as caught:
        output(Kernel(b"fan-control")).open()
    assert caught.value.code == "V506"


def test_the_real_system_call_on_what_is_no_chip() -> None:
    with pytest.raises(DeliveryError, match=r"Linux 5\.10") as caught:
        GpioOutput(GpioSettings("/dev/null", 2, None, False)).open()
    assert caught.value.code == "V506"


@pytest.mark.parametrize("number", [errno.EPERM, errno.EIO, errno.ENODEV])
def test_a_refusal_of_the_kernel(number: int) -> None:
    with pytest.raises(DeliveryError, match=os.strerror(number)) as caught:
        GpioOutput(GpioSettings("/dev/null", 2, None, False), ioctl=Kernel().refusing(number)).open()
    assert caught.value.code == "V506"


def test_a_line_that_something_else_drives() -> None:
    kernel = Kernel()
    one = GpioLine(output(kernel))
    one.prepare()
    kernel.stuck = True
    with pytest.raises(DeliveryError, match="reads otherwise") as caught:
        one.on(row(1))
    assert (caught.value.code, caught.value.retryable) == ("V501", False)
    one.close()


def test_it_is_made_of_the_manifest(tmp_path: Path) -> None:
    plan = GpioAction(type="gpio", chip="/dev/gpiochip7", line_name="PAC.06", pulse_s=0.1)
    one = make_line(plan, SecretStore(lambda _: {}, tmp_path))
    with pytest.raises(DeliveryError, match=r"line PAC\.06 of /dev/gpiochip7 is not available: No such file"):
        one.mend()
