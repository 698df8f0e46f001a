"""Finds the cameras of a network: WS-Discovery says who is there, ONVIF what they offer."""
