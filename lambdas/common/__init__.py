"""What every function needs: settings from its environment, structured logs, typed errors."""
