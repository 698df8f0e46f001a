"""Where the preview of 2020 and 2021 had its interface."""

raise ImportError(
    "panoramasdk.base belongs to the preview of AWS Panorama (2020 to 2021), whose applications ran as Lambda "
    "functions; they are not supported. Rewrite the application for panoramasdk.node: read pictures with "
    "node.inputs.<port>.get() instead of entry(inputs, outputs), and call models with node.call()."
)
