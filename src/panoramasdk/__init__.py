"""The interface that applications of AWS Panorama were written for, served by Vedette.

Needs the standard library and NumPy only, so that an application keeps the Python it was written for (3.8 to 3.13).
"""

from ._media import media
from ._node import node, port
from ._wire import TimeoutException

__all__ = ["TimeoutException", "media", "node", "port"]
