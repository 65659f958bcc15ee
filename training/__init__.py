"""Training of VIPE models (torch)."""
