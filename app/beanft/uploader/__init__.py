"""Data sets: upload, look at, delete."""
