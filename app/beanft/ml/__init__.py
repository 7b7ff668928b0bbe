"""Machine learning in pure Python: no Flask, no database."""
