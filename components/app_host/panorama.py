"""The host of one application's Panorama code; started by the supervisor in ``app_host.__main__``, never by hand."""

from __future__ import annotations

from vedette.compose.panorama_host import main

if __name__ == "__main__":
    main()
