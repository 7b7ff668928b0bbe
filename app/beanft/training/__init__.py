"""Train a classifier on a data set, and look at the result."""
