"""A cloud's inventory with machines behind it."""
