"""The services in R: as containers, in a browser, and as a file."""
