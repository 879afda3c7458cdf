"""Modules that several jobs use."""
