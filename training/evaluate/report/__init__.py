"""What was found, and how it is shown: numbers, tables, plots, one page."""
