"""What passed the gate need not be tried again by the process that replaces a killed one.

The trial is for files nobody knows. One that passed it and then ran well for a while is known: the process tells its
supervisor, which hands it to the next process, once; with it go the models of its attributes. So a model that ends its
process soon after it was loaded is tried again first.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from typing import Final

from vedette.contracts.manifest import Model

#: A model that was loaded for so long without ending its process is known.
WELL_S: Final = 10.0


def trial_mark(data: bytes, model: Model) -> str:
    """Digest of what a trial depends on: the file, the manifest's words and the installed ONNX Runtime.

    Args:
        data: the whole model.
        model: what the manifest says of it.
    """
    found = importlib.util.find_spec("onnxruntime")
    library = os.stat(found.origin) if found is not None and found.origin else None
    installed = f"{library.st_ino} {library.st_mtime_ns}" if library is not None else ""
    digest = hashlib.sha256(data)
    digest.update(f"\n{model.model_dump_json()}\n{installed}".encode())
    return digest.hexdigest()
