"""A project of AWS Panorama becomes an application: what its documents say, what that is here, what is left to do."""
