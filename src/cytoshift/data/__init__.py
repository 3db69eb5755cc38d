"""Volumes as lazy arrays, written results, and what is cut from them for training."""
