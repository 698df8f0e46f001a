"""How large a zip says that its directory is, before anyone reads it as a whole (APPNOTE 6.3.10, 4.3.14 to 4.3.16)."""

from __future__ import annotations

import os
from typing import BinaryIO, Final

#: Where the end record may be: its comment has 65,535 bytes at most; before it are the records of Zip64.
END_BYTES: Final = 22 + 65_535 + 20 + 56
#: Python's reader takes about ten times the directory's size of memory.
MAX_DIRECTORY_BYTES: Final = 1 << 20


def stated_directory_bytes(file: BinaryIO) -> int:
    """The largest size of its directory that an open file states; 0 where it is no zip. Moves the file's position.

    Raises:
        OSError: the file cannot be read.
    """
    file.seek(max(0, file.seek(0, os.SEEK_END) - END_BYTES))
    return directory_bytes(file.read(END_BYTES))


def directory_bytes(tail: bytes) -> int:
    """The largest size that any end record states; 0 where there is none.

    Args:
        tail: the last ``END_BYTES`` of the file, or all of it.
    """
    stated = 0
    for record, at, width in ((b"PK\x05\x06", 12, 4), (b"PK\x06\x06", 40, 8)):
        found = tail.find(record)
        while found >= 0:  # every one that a reader might take for the record
            here = int.from_bytes(tail[found + at : found + at + width], "little")
            stated = max(stated, 0 if here == 0xFFFFFFFF and width == 4 else here)  # that much: Zip64 has the number
            found = tail.find(record, found + 1)
    return stated
