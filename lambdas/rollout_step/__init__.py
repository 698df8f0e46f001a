"""One step of a rollout, for the state machine."""
