"""The Greengrass component ``vedette.AppHost``."""
