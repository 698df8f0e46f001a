# mypy: ignore-errors
"""Stands in for the DLR runtime: ``DLRModel`` runs the ONNX original that lies beside the compiled files.

A file ``behaviour`` in the same directory makes it misbehave: see ``DLRModel.run``.
"""

import glob
import os
import time


class DLRModel(object):
    def __init__(self, model_path, dev_type="cpu", dev_id=0):
        import onnxruntime

        self._directory = model_path
        if self._behaviour() == "no load":
            raise RuntimeError("DLR: cannot deserialize the engine for {}".format(dev_type))
        with open(glob.glob(os.path.join(model_path, "*.params"))[0], "rb") as file:
            self._session = onnxruntime.InferenceSession(file.read(), providers=["CPUExecutionProvider"])
        self._runs = 0

    def _behaviour(self):
        path = os.path.join(self._directory, "behaviour.json")
        return open(path).read() if os.path.exists(path) else ""

    def get_input_names(self):
        return [entry.name for entry in self._session.get_inputs()]

    def get_output_names(self):
        if self._behaviour() == "no names":
            raise NotImplementedError
        return [entry.name for entry in self._session.get_outputs()]

    def run(self, values):
        self._runs += 1
        behaviour = self._behaviour()
        if self._runs > 1:
            if behaviour == "hang":
                time.sleep(600)
            if behaviour == "crash":
                os._exit(11)
            if behaviour == "refuse":
                raise ValueError("bad shape")
            if behaviour == "other shape":
                return [output[:, :3] for output in self._session.run(None, values)]
        return self._session.run(None, values)
