"""One module for each measurement, each with ``measure(quick: bool) -> Row``; in the order of the report."""

ORDER = (
    "system",
    "site",
    "peers",
    "scale",
    "memory",
    "startup",
    "decode",
    "idle",
    "motion",
    "inference",
    "batch",
    "ring",
    "journal",
    "localcore",
    "backtest",
    "bytes",
    "size",
)
