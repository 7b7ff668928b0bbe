"""Filter a data set and see charts and rows answer at once."""
