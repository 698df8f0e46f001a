"""The owner's account, as CDK stacks."""
