"""Records why a model did not get ready."""
