"""Check the raw data and split it into train, validation and hold-out."""
