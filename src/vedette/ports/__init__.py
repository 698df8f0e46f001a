"""What the pipeline needs from outside, as protocols. Adapters implement them; fakes are in ``vedette.testing``."""
