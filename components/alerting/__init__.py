"""The Greengrass component ``vedette.Alerting``."""
