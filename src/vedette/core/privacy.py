"""Which of two levels of privacy holds: always the stricter one."""

from __future__ import annotations

from typing import Final

from vedette.contracts.privacy import Privacy

#: From the most open to the strictest.
ORDER: Final = (Privacy.NONE, Privacy.BLUR, Privacy.METADATA_ONLY)


def effective(application: Privacy, ceiling: Privacy) -> Privacy:
    """What holds for an application on a device: the stricter of what either asks for.

    Args:
        application: ``privacy`` of the manifest.
        ceiling: what the device allows at most to be shown.
    """
    return max(application, ceiling, key=ORDER.index)
