"""Keeps what devices tell of a new version beside the running one."""
