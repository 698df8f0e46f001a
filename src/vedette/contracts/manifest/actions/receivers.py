"""Receivers that take every alert as a document: files, web servers, brokers, the cloud."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vedette.contracts.base import Contract, Seconds


class FileAction(Contract):
    """One JSON object a line."""

    type: Literal["file"]
    path: Annotated[str, Field(description="Inside the state directory where relative.")] = "alerts.jsonl"


class WebhookAction(Contract):
    """An HTTP POST of the alert, signed (HMAC-SHA256 over time stamp and body), tried again until answered 2xx."""

    type: Literal["webhook"]
    url: str
    secret: Annotated[str | None, Field(description="Name of a secret with `key`; signs the request.")] = None
    allow_private: Annotated[bool, Field(description="The receiver is on the site's own network.")] = False
    timeout_s: Annotated[Seconds, Field(gt=0, le=30)] = 5.0


class MqttAction(Contract):
    """A publish with QoS 1 to a broker on the site."""

    type: Literal["mqtt"]
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 8883
    topic: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^+#\x00$][^+#\x00]*$")] = "vedette/alerts"
    tls: bool = True
    ca_file: str | None = None
    secret: Annotated[str | None, Field(description="Name of a secret with `username` and `password`.")] = None


class IotCoreAction(Contract):
    """The owner's AWS account; kept until the ledger's own acknowledgement."""

    type: Literal["iot_core"]
