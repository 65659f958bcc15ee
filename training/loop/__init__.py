"""The training loop: settings, state, validation, what is logged and kept."""
