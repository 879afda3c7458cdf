"""Measure the predictions of the hold-out, compare with the champion, and apply the quality gate."""
