"""What a fleet costs, item by item, and what AWS Panorama charged for the same."""
