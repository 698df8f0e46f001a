"""Models on this machine: a content-addressed store with provenance, and how models come into it."""
