"""A component that does over IPC what its test tells it, and answers with what it saw.

Commands arrive as JSON on the local topic ``probe/<name>/do``; answers leave on ``probe/<name>/done``.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, JsonMessage, PublishMessage

NAME = sys.argv[1]
client = GreengrassCoreIPCClientV2()
ended = threading.Event()


def say(topic: str, value: Any) -> None:
    client.publish_to_topic(
        topic=topic, publish_message=PublishMessage(json_message=JsonMessage(message={"value": value}))
    )


def tell(kind: str) -> Callable[[Any], None]:
    def hear(event: Any) -> None:
        if kind == "config":
            seen = event.configuration_update_event.key_path
        elif kind == "cloud":
            seen = [event.message.topic_name, event.message.payload.decode()]
        elif event.json_message is not None:
            seen = [event.json_message.context.topic, event.json_message.message]
        else:
            seen = [event.binary_message.context.topic, event.binary_message.message.hex()]
        say(f"probe/{NAME}/{kind}", seen)

    return hear


def errors(error: Exception) -> bool:
    print("stream error", type(error).__name__, file=sys.stderr)
    return True


def closed() -> None:
    pass


def run(what: str, arguments: Any) -> Any:
    if what == "environment":
        return dict(os.environ)
    if what == "cwd":
        return os.getcwd()
    if what == "pid":
        return os.getpid()
    if what == "config":
        return client.get_configuration(key_path=arguments).value
    if what == "update":
        time = datetime.datetime.fromtimestamp(arguments["time"], datetime.UTC)
        client.update_configuration(
            key_path=arguments.get("path", []), timestamp=time, value_to_merge=arguments["value"]
        )
        return "updated"
    if what == "watch":
        client.subscribe_to_configuration_update(
            key_path=arguments, on_stream_event=tell("config"), on_stream_error=errors, on_stream_closed=closed
        )
        return "watching"
    if what == "subscribe":
        client.subscribe_to_topic(
            topic=arguments, on_stream_event=tell("local"), on_stream_error=errors, on_stream_closed=closed
        )
        return "subscribed"
    if what == "subscribe_cloud":
        client.subscribe_to_iot_core(
            topic_name=arguments,
            qos="1",
            on_stream_event=tell("cloud"),
            on_stream_error=errors,
            on_stream_closed=closed,
        )
        return "subscribed"
    if what == "publish_json":
        message = PublishMessage(json_message=JsonMessage(message=arguments[1]))
        client.publish_to_topic(topic=arguments[0], publish_message=message)
        return "published"
    if what == "publish_binary":
        message = PublishMessage(binary_message=BinaryMessage(message=bytes.fromhex(arguments[1])))
        client.publish_to_topic(topic=arguments[0], publish_message=message)
        return "published"
    if what == "publish_cloud":
        client.publish_to_iot_core(topic_name=arguments[0], qos="1", payload=arguments[1].encode())
        return "published"
    if what == "secret":
        return client.get_secret_value(secret_id=arguments).secret_value.secret_string
    if what == "state":
        client.update_state(state=arguments)
        return "told"
    if what == "daemon":  # a grandchild in a session of its own, out of reach of any process group
        child = subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL)
        return child.pid
    if what == "exit":
        os._exit(arguments)
    raise ValueError(what)


def obey(event: Any) -> None:
    command = event.json_message.message
    try:
        answer = {"ok": run(command["do"], command.get("with"))}
    except Exception as error:  # noqa: BLE001 - the test looks at it
        answer = {"error": type(error).__name__, "message": getattr(error, "message", None)}
    say(f"probe/{NAME}/done", answer)


signal.signal(signal.SIGTERM, lambda *_: ended.set())
client.subscribe_to_topic(
    topic=f"probe/{NAME}/do", on_stream_event=obey, on_stream_error=errors, on_stream_closed=closed
)
client.update_state(state="RUNNING")
say(f"probe/{NAME}/ready", json.dumps(os.getpid()))
ended.wait()
print("clean end", flush=True)
