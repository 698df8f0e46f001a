"""A supervisor of two children, to be killed by a test; prints their process numbers."""

from __future__ import annotations

import sys
import time

from vedette.adapters.supervision import ChildSpec, Supervisor


def main() -> None:
    program, *template = sys.argv[1:]
    supervisor = Supervisor(lambda _name, message: print(message["hello"], flush=True) if "hello" in message else None)
    supervisor.start()
    supervisor.set_children(
        ChildSpec(name, (sys.executable, program), {"mode": mode}, template=tuple(template))
        for name, mode in (("a", "beat"), ("b", "stubborn"))
    )
    time.sleep(60)


if __name__ == "__main__":
    main()
