"""Processes that are watched and replaced: the standard library only, so that a supervisor has no native code.

``Supervisor`` runs in the first process of a component, ``ChildLink`` in each of its children.
"""

from vedette.adapters.supervision.link import ChildLink
from vedette.adapters.supervision.supervisor import ChildSpec, Supervisor

__all__ = ["ChildLink", "ChildSpec", "Supervisor"]
