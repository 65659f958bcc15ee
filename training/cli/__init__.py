"""The trainer's verbs of the ``vipe`` command."""
