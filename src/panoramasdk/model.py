"""Where the preview of 2020 and 2021 had its models."""

from . import base  # noqa: F401 - says what to do
