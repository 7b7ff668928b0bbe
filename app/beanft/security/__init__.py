"""Passwords, tokens, throttling, headers."""
