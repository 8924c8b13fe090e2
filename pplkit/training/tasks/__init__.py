"""What the engine trains, one file a method."""
