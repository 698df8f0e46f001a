"""Pictures and clips of alerts: how they are made, and how people in them are made unrecognisable."""
