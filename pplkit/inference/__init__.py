"""Files in, poses out: estimates, tracks, landmarks, exports."""

from pplkit.inference.estimate import Estimator, estimate_files, write_poses
from pplkit.inference.landmarks.landmark_map import LandmarkMap, fit_landmarks
from pplkit.inference.tracking import Tracks, track

__all__ = ["Estimator", "LandmarkMap", "Tracks", "estimate_files", "fit_landmarks", "track", "write_poses"]
