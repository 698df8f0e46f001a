"""Functions of the account: one folder each, thin handlers over ``vedette.core.fleet``."""
