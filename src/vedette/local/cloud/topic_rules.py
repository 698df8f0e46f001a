"""IoT rules: messages that devices or functions publish run them, and their actions act.

A message arrives by the API (``iot-data publish``) or by the broker. Topics of basic ingest,
``$aws/rules/<rule>/<topic>``, run that one rule, which sees ``<topic>``, and reach no subscriber.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from vedette.local.cloud.api import ApiError, Request, Route, route
from vedette.local.cloud.delivery import deliver
from vedette.local.cloud.rule_sql import UNDEFINED, Message, SqlError, Statement, evaluate, matches, parse
from vedette.local.cloud.world import ACCOUNT, World

_BASIC_INGEST: Final = re.compile(r"\$aws/rules/([A-Za-z0-9_]+)/(.+)", re.DOTALL)
#: Largest message that IoT Core takes.
_MOST_BYTES: Final = 128 << 10
#: How deep republishing may go: a rule that feeds itself ends here.
_DEEPEST: Final = 5

#: Told of every message that subscribers may get: the broker, where one runs.
Listener = Callable[[str, bytes], None]


class Rules:
    """Runs rules on messages."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._listeners: list[Listener] = []
        self._services: list[Listener] = []

    def serve(self, service: Listener) -> None:
        """Hand every message that arrives to a service of the account, such as the one of shadows."""
        self._services.append(service)

    def listen(self, listener: Listener) -> None:
        """Tell of messages from the account to devices."""
        self._listeners.append(listener)

    def receive(self, topic: str, payload: bytes, client_id: str = "", *, depth: int = 0) -> None:
        """A message has arrived: run what it runs.

        Raises:
            ApiError: InvalidRequestException, it is too large.
        """
        if len(payload) > _MOST_BYTES:
            raise ApiError("InvalidRequestException", f"{len(payload)} bytes on {topic}; {_MOST_BYTES} are allowed.")
        self._world.note("published", topic=topic, payload=_shown(payload), client_id=client_id)
        ingest = _BASIC_INGEST.fullmatch(topic)
        for rule in self._matching(ingest[1] if ingest else None, topic):
            message = Message(ingest[2] if ingest else topic, payload, client_id, int(time.time() * 1000))
            self._world.later(f"rule {rule.rule_name}", partial(self._run, rule, message, depth))
        for service in self._services:
            service(topic, payload)

    def publish(self, topic: str, payload: bytes) -> None:
        """A message from the account: rules and subscribers get it."""
        self.receive(topic, payload)
        if not topic.startswith("$aws/rules/"):
            for listener in self._listeners:
                listener(topic, payload)

    def _matching(self, name: str | None, topic: str) -> list[Any]:
        from moto.iot.models import iot_backends

        rules = iot_backends[ACCOUNT][self._world.region].rules
        if name is not None:
            found = [rules[name]] if name in rules else []
            if not found:
                self._world.note("problem", what=f"message on {topic}", error=f"there is no rule {name}")
        else:
            found = [rule for rule in rules.values() if matches(parse(rule.sql).topic_filter, topic)]
        return [rule for rule in found if not rule.rule_disabled]

    def _run(self, rule: Any, message: Message, depth: int) -> None:
        try:
            chosen = parse(rule.sql).run(message)
        except SqlError as error:
            self._fail(rule, message, str(error))
            return
        if chosen is None:
            return
        self._world.note("rule", rule=rule.rule_name, topic=message.topic, payload=_shown(chosen))
        for action in rule.actions:
            try:
                self._act(action, chosen, message, depth)
            except Exception as error:  # noqa: BLE001 - any failure of an action is the error action's
                self._fail(rule, message, f"{type(error).__name__}: {error}")

    def _act(self, action: dict[str, Any], payload: bytes, message: Message, depth: int) -> None:
        ((kind, about),) = action.items()
        region, text = self._world.region, payload.decode(errors="replace")
        if kind == "sqs":
            body = base64.b64encode(payload).decode() if about.get("useBase64") else text
            self._world.client("sqs").send_message(QueueUrl=about["queueUrl"], MessageBody=body)
        elif kind == "lambda":
            deliver(self._world, about["functionArn"], text)
        elif kind == "sns":
            deliver(self._world, about["targetArn"], text)
        elif kind == "firehose":
            stream = f"arn:aws:firehose:{region}:{ACCOUNT}:deliverystream/{about['deliveryStreamName']}"
            deliver(self._world, stream, text + (about.get("separator") or ""))
        elif kind == "republish":
            if depth >= _DEEPEST:
                raise RecursionError(f"{message.topic} is republished again and again")
            topic = substituted(about["topic"], message)
            self.receive(topic, payload, depth=depth + 1)
            for listener in self._listeners:
                listener(topic, payload)
        elif kind == "s3":
            key = substituted(about["key"], message)
            self._world.client("s3").put_object(Bucket=about["bucketName"], Key=key, Body=payload)
        elif kind == "cloudwatchLogs":
            deliver(self._world, f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{about['logGroupName']}", text)
        elif kind == "cloudwatchMetric":
            self._metric(about, message)
        elif kind == "stepFunctions":
            arn = f"arn:aws:states:{region}:{ACCOUNT}:stateMachine:{about['stateMachineName']}"
            deliver(self._world, arn, text)
        else:
            raise ValueError(f"the action {kind} is not emulated")

    def _metric(self, about: dict[str, Any], message: Message) -> None:
        value = float(substituted(about["metricValue"], message))
        datum = {"MetricName": about["metricName"], "Value": value, "Unit": about["metricUnit"]}
        self._world.client("cloudwatch").put_metric_data(Namespace=about["metricNamespace"], MetricData=[datum])

    def _fail(self, rule: Any, message: Message, reason: str) -> None:
        self._world.note("problem", what=f"rule {rule.rule_name} on {message.topic}", error=reason)
        if not rule.error_action:
            return
        told = {
            "ruleName": rule.rule_name,
            "topic": message.topic,
            "clientId": message.client_id,
            "base64OriginalPayload": base64.b64encode(message.payload).decode(),
            "failures": [{"failedAction": "", "failedResource": "", "errorMessage": reason}],
        }
        self._act(rule.error_action, json.dumps(told).encode(), message, _DEEPEST)


#: Actions that ``Rules`` can do.
ACTIONS: Final = frozenset(
    {
        *("sqs", "lambda", "sns", "firehose", "republish", "s3"),
        *("cloudwatchLogs", "cloudwatchMetric", "stepFunctions"),
    }
)
_TEMPLATE: Final = re.compile(r"\$\{([^}]+)\}")


def substituted(template: str, message: Message) -> str:
    """A substitution template such as ``vedette/${topic(2)}/ack``; ``$$`` is a plain dollar sign."""

    def value(found: re.Match[str]) -> str:
        given = evaluate(found[1], message)
        return "undefined" if given is UNDEFINED else str(given)

    return _TEMPLATE.sub(value, template.replace("$$", "$"))


def check(sql: str, actions: list[dict[str, Any]]) -> Statement:
    """The statement of a rule that can be run.

    Raises:
        SqlError: it, or an action, is not emulated.
    """
    statement = parse(sql)
    for action in actions:
        for kind in action:
            if kind not in ACTIONS:
                raise SqlError(f"the action {kind} is not emulated; there are {', '.join(sorted(ACTIONS))}")
    return statement


def _shown(payload: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(payload)
    return base64.b64encode(payload).decode()


def install(world: World) -> Rules:
    """Run rules on what is published; refuse rules that could not be run."""
    from moto.iot.exceptions import InvalidRequestException
    from moto.iot.models import IoTBackend
    from moto.iotdata.models import IoTDataPlaneBackend

    rules = Rules(world)
    create = IoTBackend.create_topic_rule

    def create_topic_rule(backend: Any, rule_name: str, sql: str, **about: Any) -> None:
        failing = [about["error_action"]] if about.get("error_action") else []
        try:
            check(sql, [*(about.get("actions") or []), *failing])
        except SqlError as error:
            raise InvalidRequestException(f"Rule {rule_name}: {error}") from None
        create(backend, rule_name, sql, **about)

    def publish(backend: Any, topic: str, payload: bytes) -> None:
        data = payload if isinstance(payload, bytes) else str(payload).encode()
        rules.publish(topic, data)

    IoTBackend.create_topic_rule = create_topic_rule
    IoTDataPlaneBackend.publish = publish
    world.put(rules)
    return rules


def _publish(world: World, request: Request) -> tuple[int, Any]:
    """A message in the name of a client, as a device would send it: ``{topic, payload, client_id}``."""
    payload = request.body.get("payload", "")
    data = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    world.part(Rules).receive(str(request.body["topic"]), data, str(request.body.get("client_id", "")))
    return 200, {}


ROUTES: tuple[Route, ...] = (route("POST", "/vedette/publish", _publish),)
