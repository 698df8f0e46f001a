"""The Greengrass component ``vedette.Inference``."""
