"""Chunks and windows of sequences: by hand, and the frames of the published code."""

import json
from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.sequence_chunks import SequenceChunks, window_frames


def test_chunks_stick_out_at_both_ends_alike() -> None:
    """8 frames in chunks of 3: three, one frame too many, at the end. 7 frames: two too many, one at each end."""
    chunks = SequenceChunks([8, 7], chunk_length=3, pad=1)
    assert (len(chunks), chunks.starts.tolist()) == (6, [0, 3, 6, -1, 2, 5])
    assert chunks.target_frames(np.array([2, 3])).tolist() == [[6, 7, 7], [8, 8, 9]]
    assert chunks.input_frames(np.array([2, 3])).tolist() == [[5, 6, 7, 7, 7], [8, 8, 8, 9, 10]]


def test_a_causal_window_ends_at_its_target() -> None:
    chunks = SequenceChunks([5], pad=2, causal_shift=2)
    assert chunks.input_frames(np.arange(5))[:, -1].tolist() == chunks.target_frames(np.arange(5))[:, 0].tolist()


def test_every_frame_of_a_whole_sequence_has_a_window() -> None:
    assert window_frames(3, 2).tolist() == [[0, 0, 0, 1, 2], [0, 0, 1, 2, 2], [0, 1, 2, 2, 2]]
    assert window_frames(1, 1).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(("lengths", "chunk_length", "pad"), [([3, 0], 1, 1), ([3], 0, 1), ([3], 1, -1)])
def test_impossible_chunks_are_refused(lengths: list[int], chunk_length: int, pad: int) -> None:
    with pytest.raises(PplkitError, match="at least one frame"):
        SequenceChunks(lengths, chunk_length, pad)


def test_published_chunks(parity: Path) -> None:
    content = json.loads((parity / "lift" / "lift_chunks.json").read_text())
    left, right = content["flip_pair"]
    for case in content["cases"]:
        lengths, pad, shift = case["lengths"], case["pad"], case["causal_shift"]
        numbers = np.concatenate([1000 * s + np.arange(length) for s, length in enumerate(lengths)])
        chunks = SequenceChunks(lengths, case["chunk_length"], pad, shift, case["flip"])
        everything = np.arange(len(chunks))
        inputs, targets = numbers[chunks.input_frames(everything)], numbers[chunks.target_frames(everything)]
        channels = np.tile(np.arange(4), (len(chunks), 1))
        channels[np.ix_(chunks.flipped, [left, right])] = [right, left]
        examples = [
            {"input": i.tolist(), "output": t.tolist(), "flipped": bool(f), "second_channel": c.tolist()}
            for i, t, f, c in zip(inputs, targets, chunks.flipped, channels, strict=True)
        ]
        assert examples == case["examples"]
        windows = [window_frames(length, pad, shift) for length in lengths]
        padded = [(1000 * s + np.append(w[0], w[1:, -1])).tolist() for s, w in enumerate(windows)]
        assert padded == case["whole_sequences"]
