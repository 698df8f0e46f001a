"""Inter-process communication with the nucleus."""
