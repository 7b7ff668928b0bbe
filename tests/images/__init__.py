"""The built images, as they are deployed."""
