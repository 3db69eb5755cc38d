"""The one exception that reaches a user."""

from .text import make_printable


class UserError(ValueError):
    """A request that cannot be met, in one sentence: what was requested, what is available, and the fix.

    A setting that is part of the fix stands in backticks, by its name in Python: `axes`, or `axes=zyx` with a value.
    The command line puts its flags in their place (--axes zyx), prints the sentence and exits with 2; everything else
    is a bug and keeps its traceback.

    Parameters
    ----------
    sentence
        What to tell the user. Characters that would command a terminal are written out, as names of files may hold
        them.

    Examples
    --------
    >>> raise UserError("axis 'z' was requested, but the image has 'cyx'; pass `axes`")
    Traceback (most recent call last):
    ...
    cytoshift.core.errors.UserError: axis 'z' was requested, but the image has 'cyx'; pass `axes`
    """

    def __init__(self, sentence: object = "") -> None:
        super().__init__(make_printable(str(sentence)))
