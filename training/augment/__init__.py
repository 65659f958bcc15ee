"""From recorded poses to training batches: people, cameras, noise, missing points."""
