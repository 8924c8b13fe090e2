"""Sampling far points and finding near ones, by hand."""

import torch

from pplkit.geometry.mesh import farthest_points, nearest_points


def test_the_farthest_points_of_a_line() -> None:
    line = torch.tensor([[1.0], [2], [5], [9], [4], [5]]) * torch.tensor([1.0, 0, 0])
    # 9 is farthest from 1, then 5 (the first of two), then 4 and 2 at a distance of 1, the first of equals.
    assert farthest_points(line[None], 5)[0].tolist() == [0, 3, 2, 1, 4]
    near_origin = torch.cat([line, torch.tensor([[-0.03, 0, 0], [0.0, 0, 0]])])
    assert farthest_points(near_origin[None], 8)[0].tolist() == [0, 3, 2, 1, 4, 0, 0, 0]
    assert 7 in farthest_points(near_origin[None], 8, skipped=-1)[0].tolist()


def test_the_nearest_points_of_each_set() -> None:
    points = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [3, 0, 0]], [[3.0, 0, 0], [1, 0, 0], [0, 0, 0]]])
    queries = torch.tensor([[[2.5, 0, 0]], [[2.5, 0, 0]]])
    assert nearest_points(points, queries, 2).tolist() == [[[2, 1]], [[0, 1]]]
    assert nearest_points(points, queries, 5).shape == (2, 1, 3)
