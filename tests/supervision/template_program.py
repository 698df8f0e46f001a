"""What children are copied from in the supervisor's tests; ``threads`` makes one that cannot be copied."""

from __future__ import annotations

import sys
import threading

from tests.supervision.child_program import main
from vedette.adapters.supervision import become_template

if __name__ == "__main__":
    if "threads" in sys.argv:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    become_template()
    main()
