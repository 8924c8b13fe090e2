"""The engine: step, loop, checkpoints, run folder, devices; `tasks` knows the methods."""
