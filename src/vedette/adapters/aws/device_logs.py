"""Logs of devices in CloudWatch Logs: which there are, and their lines, one page at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.errors import CloudError
from vedette.contracts.logs import (
    JOURNAL,
    JOURNAL_LOGS,
    SYSTEM,
    component_group,
    day_stream,
    nucleus_group,
)
from vedette.core.fleet.log_lines import Line, days, named

#: Streams that one request takes.
_STREAMS: Final = 100


@dataclass(frozen=True, slots=True)
class LogGroup:
    """One group.

    Attributes:
        component: whose; ``system`` of the nucleus, ``journal`` of a device with nucleus lite.
        name: of the group.
    """

    component: str
    name: str


class DeviceLogs:
    """Logs of one device.

    Args:
        account: with the stacks.
        thing: the device.
    """

    def __init__(self, account: Account, thing: str) -> None:
        self._account = account
        self._thing = thing
        self._there: set[tuple[str, str]] = set()

    def groups(self, component: str | None = None) -> tuple[LogGroup, ...]:
        """Groups of components of ours, the nucleus and the journal; of one component, and the journal, where named.

        Raises:
            CloudError: V024, there is no such component; V001 to V003.
        """
        region, logs = self._account.region, self._account.client("logs")
        beginning = component_group(region, "")
        found = [LogGroup(SYSTEM, nucleus_group(region)), LogGroup(JOURNAL, JOURNAL_LOGS)]
        with aws_errors("the log groups"):
            pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"{beginning}vedette.")
            names = [one["logGroupName"] for page in pages for one in page["logGroups"]]
        found += [LogGroup(name.removeprefix(beginning), name) for name in sorted(names)]
        if component is None:
            return tuple(found)
        chosen = named(component, [one.component for one in found])
        if not chosen:
            there = ", ".join(one.component for one in found)
            raise CloudError(
                f"no component {component!r} has logs in the account; these have: {there}.",
                hint="Of an application its name is enough, of a component of ours what follows vedette.",
                code="V024",
            )
        wanted = {*chosen, JOURNAL}
        return tuple(one for one in found if one.component in wanted)

    def lines(self, groups: tuple[LogGroup, ...], since_ms: int, until_ms: int) -> Iterator[Line]:
        """Lines of a time in their order, whatever group they are from; a page of each group in memory.

        Args:
            groups: to look in.
            since_ms: milliseconds since 1970.
            until_ms: the same.

        Raises:
            CloudError: V001 to V003.
        """
        yield from heapq.merge(*(self._of_group(group, since_ms, until_ms) for group in groups))

    def _of_group(self, group: LogGroup, since_ms: int, until_ms: int) -> Iterator[Line]:
        streams = self._streams(group, since_ms, until_ms)
        if not streams:
            return
        logs = self._account.client("logs")
        asked: dict[str, Any] = {"logGroupName": group.name, "logStreamNames": streams[-_STREAMS:]}
        asked |= {"startTime": since_ms, "endTime": until_ms, "interleaved": True}
        token: str | None = None
        while True:
            with aws_errors(f"the log group {group.name}"):
                page = logs.filter_log_events(**asked, **({"nextToken": token} if token else {}))
            for event in sorted(page["events"], key=lambda event: (event["timestamp"], event["eventId"])):
                yield Line(event["timestamp"], group.component, event["eventId"], event["message"].rstrip("\r\n"))
            token = page.get("nextToken")
            if not token:
                return

    def _streams(self, group: LogGroup, since_ms: int, until_ms: int) -> list[str]:
        """The device's streams that are there: a request for one that is not would be refused as a whole."""
        if group.component == JOURNAL:
            wanted = [self._thing]
        else:
            wanted = [day_stream(day, self._thing) for day in days(since_ms, until_ms)]
        logs = self._account.client("logs")
        found = []
        for name in wanted:
            if (group.name, name) in self._there:
                found.append(name)
                continue
            with aws_errors(f"the log group {group.name}"):
                try:
                    answer = logs.describe_log_streams(logGroupName=group.name, logStreamNamePrefix=name, limit=1)
                except logs.exceptions.ResourceNotFoundException:
                    return []
            # Of all names that begin so the whole one comes first.
            if any(one["logStreamName"] == name for one in answer["logStreams"]):
                self._there.add((group.name, name))
                found.append(name)
        return found
