"""Serve predictions of stored models."""
