"""Looks through models that arrive."""
