"""The warden of one application; started by the supervisor in ``app_host.__main__``, never by hand."""

from __future__ import annotations

from vedette.compose.warden import main

if __name__ == "__main__":
    main()
