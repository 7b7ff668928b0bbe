"""Pictures of data sets and models: figures are computed here and drawn by the browser."""
