"""The one exception that is meant for a person."""


class UsageError(ValueError):
    """Something that the user asked for cannot be done; the message is one sentence that says what to do instead."""
