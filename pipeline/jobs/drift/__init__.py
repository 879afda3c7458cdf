"""Compare captured requests with the data that the live model was trained on."""
