"""Vedette: real-time alerts from the IP cameras a site already has."""

__version__ = "0.1.0"
