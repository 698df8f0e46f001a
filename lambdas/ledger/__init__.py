"""Alerts into the ledger, once each; notifications; acknowledgements."""
