"""A machine that is lost."""
