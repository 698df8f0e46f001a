"""The account's side: two people who change one document at the same time lose nothing, and are told the truth."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.device_document.cloud import ConflictError, FakeCloud
from vedette.adapters.aws.shadows import ATTEMPTS, Document, Documents
from vedette.contracts.device_document import DeviceReport, Refusal
from vedette.contracts.errors import CloudError


class Client:
    """AWS IoT's data, as boto3 would speak to it."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.lock = threading.Lock()
        self.conflicts = 0

    def get_thing_shadow(self, **_about: str) -> dict[str, Any]:
        with self.lock:
            if self.cloud.state is None:
                raise error("ResourceNotFoundException")
            body = {"state": self.cloud.state, "version": self.cloud.version}
            return {"payload": io.BytesIO(json.dumps(body).encode())}

    def update_thing_shadow(self, *, payload: bytes, **_about: str) -> dict[str, Any]:
        request = json.loads(payload)
        with self.lock:
            try:
                version = self.cloud.update(request["state"], request.get("version"))
            except ConflictError:
                self.conflicts += 1
                raise error("ConflictException") from None
            return {"payload": io.BytesIO(json.dumps({"version": version}).encode())}


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said AWS"}}, "op")


class Account:
    def __init__(self, client: Client) -> None:
        self._client = client

    def client(self, service: str) -> Client:
        assert service == "iot-data"
        return self._client


@pytest.fixture
def client() -> Client:
    return Client(FakeCloud())


def documents(client: Client) -> Documents:
    return Documents(Account(client), sleep=lambda _s: None)  # type: ignore[arg-type]


def test_many_at_once_lose_nothing(client: Client) -> None:
    client.cloud.update({"desired": {"revision": 0}})
    barrier = threading.Barrier(4)

    def work(who: int) -> None:
        mine = documents(client)
        barrier.wait()
        for number in range(3):

            def edit(desired: dict[str, Any], number: int = number) -> None:
                desired.setdefault("cameras", {})[f"c{who}-{number}"] = {"url": "rtsp://10.0.0.1/"}

            while True:
                try:
                    mine.change("SN-1", edit)
                except CloudError:
                    continue
                break

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(client.cloud.desired["cameras"]) == {f"c{who}-{number}" for who in range(4) for number in range(3)}
    assert client.cloud.desired["revision"] == 12


def test_somebody_who_is_always_faster_is_told(client: Client) -> None:
    client.cloud.update({"desired": {"a": 0}})

    def edit(desired: dict[str, Any]) -> None:
        client.cloud.update({"desired": {"a": client.cloud.version}})
        desired["mine"] = 1

    with pytest.raises(CloudError, match="by others") as refused:
        documents(client).change("SN-1", edit)
    assert refused.value.code == "V013"
    assert client.conflicts == ATTEMPTS


def test_what_another_release_wrote_stays(client: Client) -> None:
    client.cloud.update({"desired": {"future": {"x": [1, {"y": 2}]}, "cameras": {"a": {"url": "u", "hdr": True}}}})
    documents(client).change("SN-1", lambda desired: desired["cameras"].update(b={"url": "v"}))
    assert client.cloud.desired["future"] == {"x": [1, {"y": 2}]}
    assert client.cloud.desired["cameras"] == {"a": {"url": "u", "hdr": True}, "b": {"url": "v"}}


def test_a_field_that_goes_is_taken_away(client: Client) -> None:
    mine = documents(client)
    mine.change("SN-1", lambda desired: desired.update(cameras={"a": {"url": "u", "sub_url": "s"}}))
    mine.change("SN-1", lambda desired: desired["cameras"].update(a={"url": "u"}))
    assert client.cloud.desired["cameras"] == {"a": {"url": "u"}}
    mine.change("SN-1", lambda desired: desired["cameras"].clear())
    assert "cameras" not in client.cloud.desired
    version = client.cloud.version
    assert mine.change("SN-1", lambda _desired: None).version == version, "nothing changed, nothing written"


def test_a_document_that_is_too_large_is_not_sent(client: Client) -> None:
    with pytest.raises(CloudError, match="allowed") as refused:
        documents(client).change("SN-1", lambda desired: desired.update(cameras={"a": {"url": "x" * 7000}}))
    assert refused.value.code == "V013"
    assert client.cloud.version == 0


def test_what_is_refused_is_found() -> None:
    refused = (Refusal(entry="parameters/shop/a", reason="ra"), Refusal(entry="parameters/other", reason="ro"))
    document = Document(5, {}, DeviceReport(version=4, refused=refused))
    assert not document.answers(5)
    assert document.answers(4)
    assert document.refusals("parameters/shop/a") == ("ra",)
    assert document.refusals("parameters/shop") == ("ra",)
    assert document.refusals("parameters/shop/b") == ()
    assert document.refusals("parameters/shop/ab") == ()
    assert document.refusals("parameters/other/x") == ("ro",), "the application is refused as a whole"
    assert Document().refusals("cameras/a") == ()


def test_a_report_of_another_release_is_no_report(client: Client) -> None:
    client.cloud.update({"reported": {"device": {"version": 3, "new": True}}})
    found = documents(client).read("SN-1")
    assert found.report is None
    assert found.version == 1


def test_following_ends(client: Client) -> None:
    now = [0.0]
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds
        looks.append(seconds)

    mine = Documents(Account(client), sleep=sleep, monotonic=lambda: now[0])  # type: ignore[arg-type]
    assert mine.follow("SN-1", 10, lambda one: one.answers(1)).version == 0
    assert len(looks) == 10
    client.cloud.update({"reported": {"device": {"version": 1}}})
    assert mine.follow("SN-1", 10, lambda one: one.answers(1)).report is not None
    assert len(looks) == 10
