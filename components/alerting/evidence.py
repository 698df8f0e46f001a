"""The process that makes evidence; started by the supervisor in ``alerting.__main__``, never by hand."""

from __future__ import annotations

from vedette.compose.evidence_process import main

if __name__ == "__main__":
    main()
