"""A true machine."""
