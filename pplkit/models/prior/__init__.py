"""The Pose Prior Learner: memory, regressor, link map, decoder, losses and batches."""
