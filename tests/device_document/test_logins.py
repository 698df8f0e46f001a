"""Logins of cameras: where they come from, what is asked how often, and which of two is used while one is changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from camera_ingest.credentials import NOBODY, REMOTE_S, TRIAL_S, URGENT_MAX_S, Logins, Source
from vedette.adapters.secrets import SecretStore
from vedette.contracts.errors import DeliveryError

NAME = "vedette/camera/SN-1/hall"


class Account:
    """Secrets, and how often they were asked for."""

    def __init__(self, **pairs: str) -> None:
        self.pairs: dict[str, str] | None = pairs or None
        self.asked = 0

    def __call__(self, name: str) -> Mapping[str, str]:
        self.asked += 1
        if self.pairs is None:
            raise DeliveryError("not here", code="V503")
        return dict(self.pairs)


def store(folder: Path, source: Account | Source) -> SecretStore:
    return SecretStore(source, folder, prefix="camera-", refresh_s=0)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_the_nucleus_goes_first() -> None:
    nucleus, remote = Account(password="n"), Account(password="r")
    assert Source(nucleus, remote)(NAME) == {"password": "n"}
    assert remote.asked == 0
    with pytest.raises(DeliveryError):
        Source(Account(), None)(NAME)


def test_secrets_manager_is_asked_daily_and_seldom_where_a_camera_refuses() -> None:
    clock, remote = Clock(), Account(password="old")
    source = Source(Account(), remote, clock)
    for _ in range(1000):
        assert source(NAME) == {"password": "old"}
        clock.now_s += 60
    assert remote.asked == 1
    clock.now_s += REMOTE_S
    source(NAME)
    assert remote.asked == 2
    source.urgent = frozenset({NAME})
    for _ in range(24 * 720):
        source(NAME)
        clock.now_s += 5.0
    assert 24 * 3600 / URGENT_MAX_S <= remote.asked - 2 <= 24 * 3600 / URGENT_MAX_S + 10
    remote.pairs = {"password": "new"}
    clock.now_s += URGENT_MAX_S
    assert source(NAME) == {"password": "new"}


def test_a_remote_that_is_down_is_not_asked_all_the_time() -> None:
    clock, remote = Clock(), Account()
    source = Source(Account(), remote, clock)
    for _ in range(3600):
        with pytest.raises(DeliveryError):
            source(NAME)
        clock.now_s += 1.0
    assert remote.asked < 20
    remote.pairs = {"password": "x"}
    clock.now_s += URGENT_MAX_S
    assert source(NAME) == {"password": "x"}


def test_the_old_login_is_kept_until_the_new_one_works(tmp_path: Path) -> None:
    clock, account = Clock(), Account(username="u", password="old")
    logins = Logins(store(tmp_path, account), clock)
    assert logins.fetch([NAME])
    clock.now_s += 1
    logins.worked(NAME, clock.now_s)
    account.pairs = {"username": "u", "password": "new"}
    assert logins.fetch([NAME])
    logins.worked(NAME, clock.now_s - 0.5)  # the stream that plays was opened with the old one
    assert logins.get(NAME).password == "new"
    assert not logins.refused(NAME), "it is given a moment"
    clock.now_s += TRIAL_S
    assert logins.refused(NAME)
    assert logins.get(NAME).password == "old"
    # A process that starts anew, without the account, knows both.
    account.pairs = None
    again = Logins(store(tmp_path, account), clock)
    again.fetch([NAME])
    clock.now_s += TRIAL_S
    assert again.refused(NAME)
    assert again.get(NAME).password == "old"
    clock.now_s += TRIAL_S
    assert again.refused(NAME)
    assert again.get(NAME).password == "new"
    clock.now_s += 1
    again.worked(NAME, clock.now_s)
    clock.now_s += TRIAL_S
    assert not again.refused(NAME), "the new one has worked: the old one is not tried any more"


def test_what_nobody_needs_is_forgotten(tmp_path: Path) -> None:
    clock, account = Clock(), Account(username="u", password="p")
    logins = Logins(store(tmp_path, account), clock)
    logins.fetch([NAME, "vedette/camera/other"])
    clock.now_s += 1
    logins.worked(NAME, clock.now_s)
    (tmp_path / "alerting-x.json").write_text("{}")
    logins.forget_others([NAME])
    assert len(list(tmp_path.glob("camera-*"))) == 2
    logins.fetch([])
    logins.forget_others([])
    assert [path.name for path in tmp_path.iterdir()] == ["alerting-x.json"]
    assert logins.get(NAME) == NOBODY
