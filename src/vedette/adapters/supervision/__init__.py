"""Processes that are watched and replaced: the standard library only, so that a supervisor has no native code.

``Supervisor`` runs in the first process of a component, ``ChildLink`` in each of its children; ``become_template`` in a
process that children are copied from.
"""

from vedette.adapters.supervision.link import ChildLink
from vedette.adapters.supervision.supervisor import ChildSpec, Supervisor
from vedette.adapters.supervision.template import become_template

__all__ = ["ChildLink", "ChildSpec", "Supervisor", "become_template"]
