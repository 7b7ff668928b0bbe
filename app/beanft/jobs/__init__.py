"""Long work: the job row, the queue that announces it, the worker that does it."""
