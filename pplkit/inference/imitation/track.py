"""Imitation by a simulated body whose actuators pull it to the clip, helped by a bounded force on its root.

Nothing is learned. What it takes is a score: of a motion that is not physical the body falls, or needs much force.
"""

from pplkit.inference.imitation.clip import Clip, Imitation
from pplkit.inference.imitation.contact import SMOOTHING
from pplkit.inference.imitation.simulated import follow, follower, imitation


def imitate_clip(clip: Clip, *, force: float = 100.0, smoothing: float = SMOOTHING) -> Imitation:
    """The clip as a body follows it, with at most `force` N (and Nm) on its root; see `simulated.imitation`.

    It starts in the state of the first frame, and after a fall in that of the frame at which it fell. The clip is
    smoothed over `smoothing` seconds before. Raises PplkitError where MuJoCo is missing, and for bones without length.
    """
    body = follower(clip, smoothing)
    return imitation(follow(body.reference, force), body)
