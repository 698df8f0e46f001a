"""Hooks: hosts they may connect to, and what goes ill together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import NetworkPeer
from vedette.contracts.manifest.hooks import peer_of
from vedette.core.manifest_checks.finding import Finding, Path
from vedette.core.manifest_checks.plain import dicts, texts
from vedette.core.url_policy import UrlPolicy, check_url

#: Stands for every name: what a name leads to is checked when it is connected to.
_SOME_PUBLIC_ADDRESS: Final = "9.9.9.9"


def check_hooks(document: dict[str, Any]) -> Iterator[Finding]:
    """Hosts are hosts that may be connected to; pictures and network together are pointed out."""
    for name, hook in dicts(document, "hooks").items():
        network = hook.get("network")
        entries = network if isinstance(network, list) else []
        for index, entry in enumerate(entries):
            yield from check_peer(("hooks", name, "network", index), entry)
        if entries and texts(hook.get("cameras")):
            yield Finding(
                ("hooks", name, "network"),
                "this hook sees pictures and may connect to the network, so its code can send pictures off the site",
                "two hooks, one with `cameras` and one with `network`; a device refuses both in one unless its "
                "configuration says `allowNetwork: always`",
                level="warning",
            )


def check_peer(path: Path, entry: Any) -> Iterator[Finding]:
    """What is wrong with a host that code asks to connect to."""
    try:
        peer = peer_of(entry) if isinstance(entry, str) else NetworkPeer.model_validate(entry)
    except ValueError:  # of another form: the types say so
        return
    host = f"[{peer.host}]" if ":" in peer.host else peer.host
    policy = UrlPolicy(frozenset({"mqtts"}), loopback=True, what="host")  # any scheme: only the host is looked at
    try:
        check_url(f"mqtts://{host}:{peer.port}", policy, lambda _: (_SOME_PUBLIC_ADDRESS,))
    except ConfigurationError as error:
        reason = error.message.partition(" is refused: ")[2].rstrip(".")
        yield Finding(path, f"{peer.host!r}: {reason}", "the name or address of a host, such as api.example.org:443")
