"""Signals: something on the site is switched, at once or at a moment counted from the picture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vedette.contracts.base import Contract, Seconds


class SignalBase(Contract):
    """What every signal has: how long it lasts, and when it is given."""

    pulse_s: Annotated[
        Seconds | None, Field(gt=0, le=3600, description="Back to rest after so long; it stays where absent.")
    ] = None
    overlap: Annotated[
        Literal["stay_on", "again"],
        Field(description="A pulse is due while one lasts: it stays on for longer, or goes to rest and on again."),
    ] = "stay_on"
    gap_s: Annotated[
        Seconds, Field(gt=0, le=1, description="With `overlap: again`, at least so long at rest in between, and on.")
    ] = 0.02
    after_s: Annotated[
        Seconds | None,
        Field(le=3600, description="So long after the picture; as soon as possible, however late, where absent."),
    ] = None
    late_s: Annotated[
        Seconds,
        Field(le=86400, description="With `after_s`: later than this it is not given but kept as a dead letter."),
    ] = 0.25


class ModbusAction(SignalBase):
    """A coil or register of a PLC on the site is written (Modbus/TCP)."""

    type: Literal["modbus"]
    host: Annotated[str, Field(description="Name or address of the PLC or gateway, on the site's own network.")]
    port: Annotated[int, Field(ge=1, le=65535, description="TCP port.")] = 502
    unit: Annotated[int, Field(ge=0, le=255, description="Unit (slave) behind the address.")] = 1
    write: Annotated[Literal["coil", "register"], Field(description="What is written.")]
    address: Annotated[int, Field(ge=0, le=65535, description="As on the wire, from 0: coil 00013 of a manual is 12.")]
    value: Annotated[
        bool | int | None,
        Field(description="`true` or `false` for a coil (`true` where absent); a whole number for a register."),
    ] = None
    bits: Annotated[Literal[16, 32], Field(description="Size of the number; 32 takes two registers.")] = 16
    word_order: Annotated[
        Literal["high_first", "low_first"], Field(description="With 32 bits, which half the first register holds.")
    ] = "high_first"
    verify: Annotated[
        bool, Field(description="Read back what was written; `false` for what the PLC takes back by itself.")
    ] = True
    timeout_s: Annotated[Seconds, Field(gt=0, le=10, description="For one answer of the PLC.")] = 1.0


class OpcUaAction(SignalBase):
    """A variable of a PLC or machine is written (OPC UA, binary over TCP)."""

    type: Literal["opcua"]
    endpoint: Annotated[str, Field(description="Such as `opc.tcp://plc.site:4840/path`, without credentials.")]
    node: Annotated[
        str,
        Field(
            pattern=r"^(ns=[0-9]{1,5};)?([is]=.{1,500}|g=[0-9A-Fa-f-]{36}|b=[A-Za-z0-9+/=]{1,500})$",
            description="Such as `ns=2;s=Line1.Reject` or `ns=3;i=1007`.",
        ),
    ]
    value_type: Annotated[
        Literal["Boolean", "Int16", "Int32", "Double", "String", "alert"],
        Field(description="Type of the variable; `alert` writes the alert as JSON into a String."),
    ]
    value: Annotated[
        bool | int | float | str | None,
        Field(description="What is written; `true` where absent with `Boolean`, and none with `alert`."),
    ] = None
    security: Annotated[
        Literal["none", "basic256sha256"],
        Field(description="`none` only on the site's own network; the other signs and encrypts."),
    ] = "none"
    certificate_file: Annotated[
        str | None, Field(description="With security: our certificate, PEM or DER; the server has to trust it.")
    ] = None
    private_key_file: Annotated[str | None, Field(description="With security: its key, PEM or DER.")] = None
    server_certificate_file: Annotated[
        str | None, Field(description="With security: the one certificate the server may show, PEM or DER.")
    ] = None
    secret: Annotated[
        str | None, Field(description="Name of a secret with `username` and `password`; only with security.")
    ] = None
    verify: Annotated[
        bool, Field(description="Read back what was written; `false` for what the PLC takes back by itself.")
    ] = True
    timeout_s: Annotated[Seconds, Field(gt=0, le=10, description="For one answer of the server.")] = 2.0


class GpioAction(SignalBase):
    """A line of a GPIO chip of this device becomes active (Jetson, or any Linux from 5.10 on)."""

    type: Literal["gpio"]
    chip: Annotated[
        str, Field(pattern=r"^/dev/gpiochip[0-9]{1,3}$", description="Such as `/dev/gpiochip0`; see `gpiodetect`.")
    ]
    line: Annotated[int | None, Field(ge=0, le=1023, description="Offset of the line within the chip.")] = None
    line_name: Annotated[
        str | None, Field(min_length=1, max_length=31, description="Or its name, such as `PAC.06`; see `gpioinfo`.")
    ] = None
    active_low: Annotated[bool, Field(description="Active is low: the line is high at rest.")] = False
