"""Lifting applied: 2D keypoints of any detector in, 3D motion out, whole or frame by frame."""
