"""beanft: upload a table, train a classifier on it, and get predictions.

The package is light to import on purpose: the application factories are in :mod:`beanft.wsgi`.
"""
