"""Files in, poses out: estimates, tracks, landmarks, exports."""
