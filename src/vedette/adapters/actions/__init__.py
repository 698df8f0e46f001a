"""Those who are told of alerts, one file each."""
