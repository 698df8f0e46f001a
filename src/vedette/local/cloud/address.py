"""Where a sandbox is, for the server, for commands and for every tool of AWS's."""

from __future__ import annotations

from typing import Final

#: Credentials that every client of a sandbox may use; nothing there is secret.
ACCESS_KEY: Final = "testing"


def endpoint(port: int) -> str:
    """Where clients go. The literal ``localhost``: moto reads templates from its own S3 only under this name."""
    return f"http://localhost:{port}"


def environment(port: int, region: str) -> dict[str, str]:
    """Variables by which every AWS tool finds a sandbox."""
    return {
        "AWS_ENDPOINT_URL": endpoint(port),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
    }
