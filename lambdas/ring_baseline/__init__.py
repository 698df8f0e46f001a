"""Gives every new ring its first deployment."""
