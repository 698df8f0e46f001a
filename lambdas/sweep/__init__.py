"""Counts the devices of each fleet."""
