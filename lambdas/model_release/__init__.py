"""Makes components of models."""
