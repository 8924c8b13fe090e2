"""The errors that a user can put right."""


class PplkitError(Exception):
    """Wrong input. The message is one sentence that names the file or setting and what to do.

    >>> try:
    ...     pplkit.open_dataset("nowhere")
    ... except pplkit.PplkitError as error:
    ...     print(str(error)[:26])
    there is no folder nowhere
    """


class Diverged(PplkitError):
    """The loss of a training is no longer finite."""


def reason(error: BaseException) -> str:
    """The cause that an error of the system or of a library gives, in one line; without one, the error's name."""
    text = getattr(error, "strerror", None) or str(error)
    return next((line.strip() for line in str(text).splitlines() if line.strip()), type(error).__name__)
