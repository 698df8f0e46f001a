"""How a device says that it is, into the table of devices."""
