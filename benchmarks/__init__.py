"""``make bench``: how much faster the product's way is than the plain way, in the same run."""
