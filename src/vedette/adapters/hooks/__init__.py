"""The process that runs an application's own code, and what its warden does for it."""
