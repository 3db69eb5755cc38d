"""The one exception that reaches a user."""

from .text import printable


class UserError(ValueError):
    """A wish that cannot be met, in one sentence: the wish, the stock and the cure.

    >>> raise UserError("axis 'z' asked for, image has 'cyx'; pass --axes")
    Traceback (most recent call last):
    ...
    cytoshift.core.errors.UserError: axis 'z' asked for, image has 'cyx'; pass --axes

    The command line prints the sentence and exits with 2; everything else is a bug and keeps its traceback.
    """

    def __init__(self, sentence: object = "") -> None:
        """Names of files stand in sentences: what would command a terminal is written out."""
        super().__init__(printable(str(sentence)))
