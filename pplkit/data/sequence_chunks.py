"""Training examples and windows of pose sequences as frame numbers, so that no window is copied before its batch.

Sequences lie one after the other in one array; an example is a run of frame numbers in it. Frames before the first or
after the last of a sequence repeat that frame. Rules as published (VideoPose3D, PoseFormer).
"""

from collections.abc import Sequence

import numpy as np

from pplkit.core.errors import PplkitError


class SequenceChunks:
    """Examples of several sequences: `chunk_length` target frames, and input frames around them.

    A sequence of T frames gives ⌈T / chunk_length⌉ chunks, which stick out at both ends alike. Examples are in the
    order of the sequences; with `flip` those of a sequence come once plain and then once more to be mirrored.

    Args:
        lengths: Frames of each sequence.
        chunk_length: Target frames of an example.
        pad: Input frames before the first and after the last target.
        causal_shift: By how many frames the input is earlier; `pad` for a model that sees no future frame.
        flip: Whether each chunk comes once more, to be mirrored.

    Attributes:
        sequences: (N,) number of the sequence of each example.
        starts: (N,) its first target frame, counted in the sequence; may be negative.
        flipped: (N,) whether it is to be mirrored.
    """

    def __init__(
        self, lengths: Sequence[int], chunk_length: int = 1, pad: int = 0, causal_shift: int = 0, flip: bool = False
    ) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        if chunk_length < 1 or pad < 0 or (self.lengths < 1).any():
            raise PplkitError("chunks need chunk_length >= 1, pad >= 0 and sequences of at least one frame.")
        self.chunk_length, self.pad, self.causal_shift = chunk_length, pad, causal_shift
        self.offsets = np.cumsum(self.lengths) - self.lengths  # of the sequences in the array of all frames
        counts = -(-self.lengths // chunk_length)
        first = -((counts * chunk_length - self.lengths) // 2)
        sides = 2 if flip else 1
        self.sequences = np.repeat(np.arange(len(counts)), sides * counts)
        number = np.arange(len(self.sequences)) - np.repeat(sides * (np.cumsum(counts) - counts), sides * counts)
        count = counts[self.sequences]
        self.starts = first[self.sequences] + chunk_length * (number % count)
        self.flipped = number >= count

    def __len__(self) -> int:
        return len(self.starts)

    def input_frames(self, examples: np.ndarray) -> np.ndarray:
        """Frames (B, chunk_length + 2 pad) of examples (B,), in the array of all sequences."""
        first = -self.pad - self.causal_shift
        return self._frames(examples, np.arange(first, first + self.chunk_length + 2 * self.pad))

    def target_frames(self, examples: np.ndarray) -> np.ndarray:
        """Frames (B, chunk_length) of examples (B,), in the array of all sequences."""
        return self._frames(examples, np.arange(self.chunk_length))

    def _frames(self, examples: np.ndarray, relative: np.ndarray) -> np.ndarray:
        sequence = self.sequences[examples]
        frames = self.starts[examples][:, None] + relative
        return self.offsets[sequence][:, None] + np.clip(frames, 0, self.lengths[sequence][:, None] - 1)


def window_frames(length: int, pad: int, causal_shift: int = 0) -> np.ndarray:
    """Frames (length, 2 pad + 1) of the window of each frame of a whole sequence, as in testing."""
    return SequenceChunks([length], 1, pad, causal_shift).input_frames(np.arange(length))
