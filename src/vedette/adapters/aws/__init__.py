"""The owner's account, through AWS's own library."""
