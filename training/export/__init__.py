"""From a checkpoint to the model file and its card."""
