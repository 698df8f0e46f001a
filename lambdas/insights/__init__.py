"""Reports of insights into rows for analysis."""
