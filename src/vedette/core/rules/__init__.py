"""Rules: small machines that turn track batches into events."""

from vedette.core.rules.base import Event, Moment, RuleMachine, Sighting
from vedette.core.rules.make import make_machine

__all__ = ["Event", "Moment", "RuleMachine", "Sighting", "make_machine"]
