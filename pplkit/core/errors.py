"""The one error class for everything that a user can put right."""

LONGEST = 2000  # characters of a message: a file may be called, or hold, anything


class PplkitError(Exception):
    """Wrong input, in one sentence that names the file or parameter and the remedy.

    What a file wrote into the message can neither break the line nor steer the terminal that shows it.
    """

    def __str__(self) -> str:
        return visible(super().__str__())


class Diverged(PplkitError):
    """The loss of a training is no longer finite."""


def visible(text: str) -> str:
    """Text of one line that every terminal can show: other characters as Python writes them, the middle cut out."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def reason(error: BaseException) -> str:
    """What an error of another library says, in its first line; the error's own name where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
