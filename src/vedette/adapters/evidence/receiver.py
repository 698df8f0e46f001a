"""The receiver that alerts with evidence go to: it keeps a record of what is to be made, and nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from vedette.adapters.evidence.store import EvidenceStore
from vedette.contracts.alert import Alert
from vedette.contracts.errors import DeliveryError, StorageError
from vedette.contracts.evidence import EvidenceRecord, EvidenceState
from vedette.contracts.plan import EvidencePlan
from vedette.contracts.privacy import Privacy
from vedette.core.privacy import effective
from vedette.ports.outbox import OutboxRow

log = logging.getLogger(__name__)

#: After so long the packets are gone: a record would only say that nothing could be made.
GIVE_UP_S: Final = 120.0


class EvidenceReceiver:
    """Implements ``vedette.ports.action.Action``.

    Args:
        store: where evidence is kept.
        asked: application → what it asks for at the moment; None where it asks for nothing, or is gone.
        ceiling: the device's.
        wall_s: Unix time.
    """

    batch = 16
    together = False

    def __init__(
        self,
        store: EvidenceStore,
        asked: Callable[[str], EvidencePlan | None],
        ceiling: Privacy,
        *,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._asked = asked
        self._ceiling = ceiling
        self._wall_s = wall_s

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        """Begin a record for each row. The alert itself goes its own ways and waits for none of this.

        Raises:
            DeliveryError: V502, the disk does not take a record; given up after two minutes.
        """
        for row in rows:
            alert = Alert.model_validate_json(row.body)
            asked = self._asked(alert.application)
            if asked is not None:
                try:
                    self._store.begin(self._record(alert, asked))
                except StorageError as error:
                    if self._wall_s() - alert.time.timestamp() < GIVE_UP_S:
                        raise DeliveryError(error.message, code="V502") from error
                    log.error("%s; alert %s has no evidence", error, alert.alert_id)
            done(row)

    def close(self) -> None:
        """Nothing to close."""

    def _record(self, alert: Alert, asked: EvidencePlan) -> EvidenceRecord:
        return EvidenceRecord(
            state=EvidenceState.PENDING,
            alert=alert,
            camera=alert.device_camera or alert.camera,
            asked=asked.evidence,
            asked_at=datetime.fromtimestamp(self._wall_s(), UTC),
            privacy=effective(asked.privacy, self._ceiling),
        )
