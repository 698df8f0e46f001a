"""A child that behaves as its specification says; run by the supervisor's tests."""

from __future__ import annotations

import os
import signal
import sys
import time

from vedette.adapters.supervision import ChildLink


def main() -> None:
    link = ChildLink()
    print("this must not disturb the protocol")
    mode = link.spec["mode"]
    told: list[dict] = []
    link.messages = told.append
    link.send({"hello": os.getpid(), "restarts": link.restarts, "reason": link.reason, "mode": mode})
    if mode == "crash":
        sys.exit(7)
    if mode == "crash-later":
        time.sleep(1.2)
        os.kill(os.getpid(), signal.SIGSEGV)
    if mode == "stalled":
        link.stalled("no packet for 2.0 s")
    if mode == "hang":  # neither beats nor reacts to a closed pipe
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.kill(os.getpid(), signal.SIGSTOP)
    count = 0
    while not link.closed.wait(0.02):
        count += 1
        link.beat(count, told=len(told), token=os.environ.get("SVCUID", ""))
    if mode == "stubborn":
        time.sleep(30)


if __name__ == "__main__":
    main()
