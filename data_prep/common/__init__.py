"""What preparations share."""
