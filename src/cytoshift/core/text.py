"""Text that comes out of files and file names, made safe for a terminal and for a spreadsheet."""

import re
import unicodedata

# Control characters, marks that turn the direction of writing, line separators, bytes that are no UTF-8 (surrogates).
UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
KEPT = frozenset("\n\t\u200c\u200d")  # the last two join letters in some scripts and in emoji
FORMULA = ("'", "=", "+", "-", "@", "\t", "\r", "\n")  # and what stands before one
NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan)", re.IGNORECASE)


def make_printable(text: str) -> str:
    r"""The text with everything that could command a terminal written out.

    >>> make_printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in KEPT or unicodedata.category(c) not in UNSAFE else escape_character(c) for c in text)


def count_of(number: int, thing: str) -> str:
    """
    >>> count_of(1, "image"), count_of(3, "image")
    ('1 image', '3 images')
    """
    return f"{number} {thing}{'s' * (number != 1)}"


def escape_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape_cell(text: str) -> str:
    """A cell of a table that no spreadsheet takes for a formula: those that look like one begin with an apostrophe.

    Numbers stay as they are.

    >>> escape_cell("=1+1"), escape_cell("-3.5"), escape_cell("cells")
    ("'=1+1", '-3.5', 'cells')
    """
    if text.startswith(FORMULA) and not NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def unescape_cell(text: str) -> str:
    """What `escape_cell` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
