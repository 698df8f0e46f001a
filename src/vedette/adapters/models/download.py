"""Fetching a model over https, and nothing else: bounded in size and time."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from vedette.adapters.models.store import MAX_MODEL_BYTES, ModelStore, StoredModel
from vedette.contracts.errors import ConfigurationError, ModelError

TIMEOUT_S: Final = 20.0

#: (bytes so far, bytes in all or 0 where not known)
Progress = Callable[[int, int], None]


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """See ``HTTPRedirectHandler``."""
        try:
            check_url(newurl)
        except ConfigurationError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_url(url: str) -> None:
    """Refuse what is not a plain https address.

    Raises:
        ConfigurationError: V105, another scheme, no host, or credentials in it.
    """
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username or parts.password
    except ValueError:
        host, user, parts = None, None, urlsplit("")
    if parts.scheme != "https" or not host:
        raise ConfigurationError(
            f"address with scheme {parts.scheme!r} refused; models are fetched over https only.",
            hint="Fetch the file by other means, then: vedette model add FILE",
            code="V105",
        )
    if user:
        raise ConfigurationError("address with credentials in it refused.", code="V105")


def download(
    url: str,
    store: ModelStore,
    *,
    name: str = "",
    licence: str = "",
    sha256: str = "",
    progress: Progress = lambda _done, _total: None,
    accept: Callable[[StoredModel], bool] = lambda _: True,
) -> StoredModel:
    """Fetch a model into the store.

    Args:
        url: https.
        store: where to.
        name: see ``ModelStore.add_file``.
        licence: see ``ModelStore.add_file``.
        sha256: digest it must have.
        progress: called as it comes in.
        accept: asked, with digest and licence, before it is kept.

    Raises:
        ConfigurationError: V105, not https.
        ModelError: V301, cannot be fetched; V302 and V305 as ``ModelStore.add_stream``.
    """
    check_url(url)
    opener = urllib.request.build_opener(_OnlyHttps())
    opener.addheaders = [("User-Agent", "vedette")]
    file_name = urlsplit(url).path.rpartition("/")[2] or "model"
    try:
        with opener.open(url, timeout=TIMEOUT_S) as response:
            total = int(response.headers.get("Content-Length") or 0)
            if total > MAX_MODEL_BYTES:
                raise ModelError(f"{url} is {total >> 20} MiB; at most {MAX_MODEL_BYTES >> 20} are taken.", code="V302")
            done = 0

            def read(size: int) -> bytes:
                nonlocal done
                try:
                    chunk: bytes = response.read(min(size, 1 << 16))
                except (OSError, http.client.HTTPException) as error:
                    raise _failed(url, _reason(error)) from error
                done += len(chunk)
                progress(done, total)
                if not chunk and done < total:
                    raise _failed(url, f"the connection ended after {done} of {total} bytes")
                return chunk

            return store.add_stream(
                read, file_name=file_name, name=name, licence=licence, source=url, sha256=sha256, accept=accept
            )
    except urllib.error.HTTPError as error:
        error.close()
        raise _failed(url, f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _failed(url, _reason(error.reason)) from error
    except (TimeoutError, ConnectionError, http.client.HTTPException, ssl.SSLError) as error:
        raise _failed(url, _reason(error)) from error


def _reason(error: object) -> str:
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved: this machine seems to be offline"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    return str(getattr(error, "strerror", None) or error)


def _failed(url: str, reason: str) -> ModelError:
    return ModelError(
        f"{url} cannot be fetched: {reason}.",
        hint="Fetch the file on another machine, copy it here, then: vedette model add FILE (no network needed).",
        code="V301",
    )
