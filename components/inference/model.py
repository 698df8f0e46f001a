"""One model's process; started by the supervisor in ``inference.__main__``, never by hand."""

from __future__ import annotations

from vedette.compose.model_process import main

if __name__ == "__main__":
    main()
