"""Loads a model and runs it on made-up pictures. Runs in the canary process."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from vedette.adapters.engines.accelerators import Accelerator
from vedette.adapters.engines.families import make_family
from vedette.adapters.engines.session import first_line, open_session, out_of_memory, signature_of
from vedette.adapters.engines.tensors import TensorModel, made_up
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, ModelFamily, Provider
from vedette.core.letterbox import Letterbox

#: Side of the picture that the trial pretends to have taken, pixels.
_SOURCE: Final = (640, 360)


def trial(data: bytes, model: Model) -> tuple[tuple[int, int], float]:
    """Try a model on a black picture and on noise.

    Always on the processor: a driver of another device maps more memory than a limit could tell from an attack.

    Returns:
        (width, height) of its input, zeros where it is of the family ``tensors``; and seconds of the second run.

    Raises:
        ModelError: V302, cannot be loaded or run; V303, not what the manifest says; V304, unusable values.
    """
    if model.family is ModelFamily.TENSORS:
        return (0, 0), _tensor_trial(data, model)
    session, _ = open_session(data, model.file, Provider.CPU)
    return _picture_trial(session, model)


def run_once(data: bytes, model: Model, accelerator: Accelerator) -> tuple[tuple[str, ...], str]:
    """Load a model where the manifest requires, and run it on made-up pictures: then all that is built is there.

    Returns:
        the execution providers that took part; and why it does not run where it has to, empty where it does.

    Raises:
        ModelError: V302, cannot be loaded or run; V303, not what the manifest says; V304, unusable values.
    """
    session, degraded = open_session(data, model.file, model.require, accelerator)
    if not degraded:
        _picture_trial(session, model)
    return tuple(session.get_providers()), degraded


def _picture_trial(session: Any, model: Model) -> tuple[tuple[int, int], float]:
    family = make_family(model, signature_of(session))
    width, height = family.size
    letterbox = Letterbox.stretched(_SOURCE, family.size)
    noise = np.random.default_rng(1).integers(0, 256, (1, 3, height, width)).astype(np.float32)
    for channel in range(3):
        scale, shift = family.form.tensor(channel)
        noise[0, channel] = noise[0, channel] * scale + shift
    seconds = 0.0
    for picture in (np.zeros((1, 3, height, width), np.float32), noise):
        started_s = time.perf_counter()
        try:
            outputs = session.run(None, family.feeds(picture, letterbox))
        except Exception as error:  # the library raises a class per failure, none of them documented
            if out_of_memory(error):
                raise MemoryError from error
            raise ModelError(
                f"{model.file} fails when it runs: {first_line(error)}.", hint="Check the export.", code="V302"
            ) from error
        seconds = time.perf_counter() - started_s
        family.decode(outputs, letterbox)
    return family.size, seconds


def _tensor_trial(data: bytes, model: Model) -> float:
    """Try a model that an application's own code runs: with what it declares, and nothing is decoded."""
    session, _ = open_session(data, model.file, Provider.CPU)
    tensors = TensorModel(session, signature_of(session), model)
    seconds = 0.0
    for generator in (None, np.random.default_rng(1)):
        inputs = made_up(model, generator)
        started_s = time.perf_counter()
        tensors.run(inputs)
        seconds = time.perf_counter() - started_s
    return seconds
