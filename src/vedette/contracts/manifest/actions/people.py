"""Receivers that are people: what they get is written for them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from vedette.contracts.base import Contract, Seconds, TimeZone

#: RFC 5321: at most 64 characters before the @ and 255 behind it. ASCII only, without quotes, comments and names.
MailAddress = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
        r"(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$",
        max_length=254,
    ),
]

#: ITU-T E.164: a plus sign, the country, at most 15 digits in all.
PhoneNumber = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]


class EmailAction(Contract):
    """A message to people, handed to a mail server (SMTP) that takes responsibility for it."""

    type: Literal["email"]
    host: Annotated[str, Field(description="Name or address of the mail server.")]
    port: Annotated[
        int | None, Field(ge=1, le=65535, description="By `tls` where absent: 587 starttls, 465 implicit, 25 none.")
    ] = None
    tls: Annotated[
        Literal["starttls", "implicit", "none"],
        Field(description="How it is encrypted; `none` only to a server on the site, and without `secret`."),
    ] = "starttls"
    ca_file: str | None = None
    secret: Annotated[str | None, Field(description="Name of a secret with `username` and `password`.")] = None
    sender: Annotated[MailAddress, Field(description="Address the message comes from.")]
    to: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=20, description="Recipients.")]
    subject_prefix: Annotated[
        str, Field(max_length=60, description="Stands before every subject, such as the name of the site.")
    ] = ""
    timezone: Annotated[TimeZone, Field(description="In which times are told; an IANA name.")] = "UTC"
    digest_s: Annotated[
        Seconds, Field(le=3600, description="What comes within so long of an alert goes into one message with it.")
    ] = 0.0
    timeout_s: Annotated[Seconds, Field(gt=0, le=120, description="For one conversation with the server.")] = 20.0


class SmsAction(Contract):
    """A text message to phones, through a web service or a modem on the site."""

    type: Literal["sms"]
    gateway: Annotated[Literal["http", "serial"], Field(description="A web service, or a modem at a serial device.")]
    to: Annotated[
        tuple[PhoneNumber, ...],
        Field(min_length=1, max_length=20, description="Numbers with country, such as `+4915112345678`."),
    ]
    timezone: Annotated[TimeZone, Field(description="In which times are told; an IANA name.")] = "UTC"
    parts: Annotated[
        int, Field(ge=1, le=5, description="Longest message, in parts of 160 characters (70 where it needs others).")
    ] = 1
    timeout_s: Annotated[Seconds, Field(gt=0, le=60, description="For one message.")] = 20.0
    url: Annotated[str | None, Field(description="With `http`: address of the service, without credentials.")] = None
    method: Annotated[Literal["POST", "PUT"], Field(description="With `http`.")] = "POST"
    encoding: Annotated[Literal["json", "form"], Field(description="With `http`: how `body` is sent.")] = "json"
    body: Annotated[
        dict[str, JsonValue] | None,
        Field(
            min_length=1,
            description="With `http`: the fields; `{to}`, `{text}`, `{alert_id}` and `{severity}` are filled in.",
        ),
    ] = None
    secret: Annotated[
        str | None,
        Field(
            description="Name of a secret: with `http` `username` and `password`, or `value` for `header`; "
            "with `serial` `pin` of the SIM."
        ),
    ] = None
    header: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9-]{1,64}$",
            description="With `http`: header that carries `value` of the secret; basic authentication where absent.",
        ),
    ] = None
    allow_private: Annotated[bool, Field(description="With `http`: the service is on the site's own network.")] = False
    device: Annotated[
        str | None,
        Field(pattern=r"^/dev/[A-Za-z0-9_./:+-]{1,200}$", description="With `serial`: such as `/dev/ttyUSB2`."),
    ] = None
    baud: Annotated[
        Literal[9600, 19200, 38400, 57600, 115200, 230400, 460800],
        Field(description="With `serial`: speed of the device."),
    ] = 115200
    mode: Annotated[
        Literal["pdu", "text"], Field(description="With `serial`: how the modem takes messages (3GPP TS 27.005).")
    ] = "pdu"
