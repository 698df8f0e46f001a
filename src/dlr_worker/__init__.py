"""Runs a model that SageMaker Neo compiled, for a program that cannot load its runtime.

The devices that Neo compiles for have an older Python than the rest of this project, so this is a program of its own:
standard library and NumPy only, Python 3.6 and later. See ``worker.py``.
"""
