"""Security, measured: attacks that are really made, and what came of them as rows of the scorecard."""
