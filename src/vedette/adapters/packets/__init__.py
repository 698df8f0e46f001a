"""Encoded video from the process that captures a camera to the one that makes evidence, over a Unix socket."""

from vedette.adapters.packets.feed import PacketFeed
from vedette.adapters.packets.server import PacketServer

__all__ = ["PacketFeed", "PacketServer"]
