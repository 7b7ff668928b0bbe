"""Errors as pages for people and as problem+json for programs."""
