"""Whether a device is connected, into the table of devices."""
