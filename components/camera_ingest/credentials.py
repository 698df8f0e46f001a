"""User names and passwords of cameras: where they come from, and which of two is used while one is being changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from vedette.adapters.secrets import SecretStore
from vedette.contracts.errors import DeliveryError

logger = logging.getLogger(__name__)

#: Secrets Manager is asked once a day, and at growing intervals where a camera refuses its password: each question
#: costs money, and an account has a rate for all its devices.
REMOTE_S: Final = 86_400.0
URGENT_FIRST_S: Final = 5.0
URGENT_MAX_S: Final = 600.0
#: A login is tried for so long before the other one is.
TRIAL_S: Final = 10.0
#: Under this name beside the secret's own the login is remembered that last worked.
_PROVEN: Final = "#proven"

Ask = Callable[[str], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password of a camera."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


#: For a camera that asks for none.
NOBODY: Final = Credentials()


def credentials_of(secrets: SecretStore, name: str) -> Credentials | None:
    """What the secret says; None where it is neither to be had nor remembered, of which the store's log tells."""
    try:
        pairs = secrets.get(name)
    except DeliveryError:
        return None
    return _credentials(pairs)


def _credentials(pairs: Mapping[str, str]) -> Credentials:
    return Credentials(pairs.get("username", ""), pairs.get("password", ""))


class Source:
    """Asks the nucleus, and where that has no secrets, Secrets Manager; the latter seldom.

    Args:
        nucleus: asked every time.
        remote: asked where the nucleus has none; None where there is no way to.
        monotonic: clock.
    """

    def __init__(self, nucleus: Ask, remote: Ask | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._nucleus = nucleus
        self._remote = remote
        self._monotonic = monotonic
        self._answers: dict[str, tuple[float, Mapping[str, str] | DeliveryError]] = {}
        self._pause_s: dict[str, float] = {}
        self.urgent: frozenset[str] = frozenset()

    def __call__(self, name: str) -> Mapping[str, str]:
        """The secret's pairs.

        Raises:
            DeliveryError: V503, nobody has it.
        """
        try:
            return self._nucleus(name)
        except DeliveryError:
            if self._remote is None:
                raise
        now_s = self._monotonic()
        known = self._answers.get(name)
        if known is None or now_s - known[0] >= self._patience_s(name, known[1]):
            self._answers[name] = known = (now_s, self._asked(name))
        if isinstance(known[1], DeliveryError):
            raise known[1]
        return known[1]

    def _patience_s(self, name: str, answer: Mapping[str, str] | DeliveryError) -> float:
        if name not in self.urgent and not isinstance(answer, DeliveryError):
            self._pause_s.pop(name, None)
            return REMOTE_S
        return self._pause_s.get(name, URGENT_FIRST_S)

    def _asked(self, name: str) -> Mapping[str, str] | DeliveryError:
        assert self._remote is not None
        if name in self._answers:
            self._pause_s[name] = min(2 * self._pause_s.get(name, URGENT_FIRST_S), URGENT_MAX_S)
        try:
            return self._remote(name)
        except DeliveryError as error:
            return error


@dataclass
class _Login:
    """What is known of one secret."""

    newest: Credentials
    proven: Credentials | None = None
    uses_proven: bool = False
    since_wall_s: float = 0.0

    @property
    def used(self) -> Credentials:
        return self.proven if self.uses_proven and self.proven is not None else self.newest


class Logins:
    """Which login each secret gives. The one that worked last is kept until a newer one has worked.

    Args:
        secrets: fetches and remembers.
        wall: seconds since 1970.
    """

    def __init__(self, secrets: SecretStore, wall: Callable[[], float] = time.time) -> None:
        self._secrets = secrets
        self._wall = wall
        self._logins: dict[str, _Login] = {}

    def fetch(self, names: Iterable[str]) -> bool:
        """Ask for these secrets and forget all others; whether a login to use has changed."""
        wanted = set(names)
        before = {name: login.used for name, login in self._logins.items()}
        for name in wanted:
            found = credentials_of(self._secrets, name)
            login = self._logins.get(name)
            if found is None:
                continue
            if login is None:
                proven = self._secrets.remembered(name + _PROVEN)
                known = _credentials(proven) if proven is not None else None
                self._logins[name] = _Login(found, known, False, self._wall())
            elif found != login.newest:
                logger.info("secret %s has changed", name)
                login.newest, login.uses_proven, login.since_wall_s = found, False, self._wall()
        self._logins = {name: login for name, login in self._logins.items() if name in wanted}
        return before != {name: login.used for name, login in self._logins.items()}

    def forget_others(self, names: Iterable[str]) -> None:
        """Take what is remembered of any other secret from the disk."""
        self._secrets.keep_only([each for name in names for each in (name, name + _PROVEN)])

    def refused(self, name: str) -> bool:
        """A camera has refused the login: use the other one, where there is one; whether it is another now."""
        login, now_s = self._logins.get(name), self._wall()
        if login is None or login.proven in (None, login.newest) or now_s - login.since_wall_s < TRIAL_S:
            return False
        login.uses_proven, login.since_wall_s = not login.uses_proven, now_s
        return True

    def worked(self, name: str, since_wall_s: float) -> None:
        """A camera streams since then: a stream that was opened after the login was chosen proves it."""
        login = self._logins.get(name)
        if login is not None and since_wall_s > login.since_wall_s and login.proven != login.used:
            login.proven = login.used
            self._secrets.remember(name + _PROVEN, {"username": login.used.username, "password": login.used.password})

    def get(self, name: str | None) -> Credentials:
        """What to log in with."""
        login = self._logins.get(name or "")
        return NOBODY if login is None else login.used
