"""``vedette.DeviceAgent``: jobs of AWS IoT on the device."""
