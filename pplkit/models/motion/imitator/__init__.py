"""The published imitator of PoseTriplet: body, features, rewards, control and networks; the simulator is not in it."""
