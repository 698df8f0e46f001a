"""Footage that tests compose at run time."""
