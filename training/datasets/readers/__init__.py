"""One reader per data set, for the format in which its owners give it out."""
