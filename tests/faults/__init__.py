"""Faults that are injected on purpose, with what came of them as rows of the scorecard (docs/scorecard.md)."""
