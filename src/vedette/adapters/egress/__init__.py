"""The one package through which anything leaves our components by network: HTTP(S) requests and MQTT connections.

An address is resolved, every answer is checked (``core.url_policy``), and the connection goes to a checked answer, so
that a name server that changes its mind in between gains nothing. Redirects are not followed. How much is read and how
long it takes is bounded, whatever the other side does. The rules, by what the operator wrote:

* without ``allow_private``: ``https`` to public addresses only;
* with ``allow_private``: ``https`` anywhere, ``http`` to addresses of the site or of this machine only, because what
  is not encrypted must not leave the site;
* never: link-local and cloud metadata addresses, multicast, unusual spellings of addresses, user names in URLs;
* MQTT: the same addresses as with ``allow_private``. With TLS the broker's name is verified, so an answer that changed
  cannot lead to another broker; without TLS the connection goes to the checked address;
* an application's own code: hosts and ports that its manifest names, by the same addresses as webhooks; it never gets
  the connection itself, bytes are passed on and counted.
"""

from vedette.adapters.egress.http import HttpAnswer, HttpPoster
from vedette.adapters.egress.mqtt import MqttConnection, MqttSettings
from vedette.adapters.egress.relay import Relay, connect_checked
from vedette.adapters.egress.rules import check_broker, check_http, check_peer, resolve

__all__ = [
    "HttpAnswer",
    "HttpPoster",
    "MqttConnection",
    "MqttSettings",
    "Relay",
    "check_broker",
    "check_http",
    "check_peer",
    "connect_checked",
    "resolve",
]
