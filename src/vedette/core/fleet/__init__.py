"""What the account decides: acknowledgements, desired state, gates, registrations, targets of models. Pure."""
