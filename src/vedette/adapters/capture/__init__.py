"""Cameras and files as decoded pictures."""
