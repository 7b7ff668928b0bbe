"""Tests of the whole project, a folder a kind."""
