"""The one exception that carries a message for the person at the keyboard."""


class VipeError(ValueError):
    """Bad input or environment, said in one line: what, where, what to do.

    Command-line verbs print the message and exit with status 2; nodes log it once
    and count it. Programming errors are never wrapped in it.
    """
