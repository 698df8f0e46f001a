"""From sources and locks to a tree of components that a device can install without network."""
