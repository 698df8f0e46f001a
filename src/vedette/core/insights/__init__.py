"""Insights: small machines that turn track batches into figures, interval by interval."""
