"""What a fleet of a size asks of the account."""
