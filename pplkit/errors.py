"""The one error class for everything that a user can put right."""


class PplkitError(Exception):
    """Wrong input, in one sentence that names the file or parameter and the remedy."""


class Diverged(PplkitError):
    """The loss of a training is no longer finite."""
