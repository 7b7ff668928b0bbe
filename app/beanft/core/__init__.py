"""What every area needs: errors, the database, logs, request identity."""
