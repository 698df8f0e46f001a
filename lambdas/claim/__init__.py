"""Pre-provisioning hook: decides which machine gets a certificate."""
