"""The host's side of a Panorama application: what its code is given and what it gives."""
