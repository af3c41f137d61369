"""Penalised linear models: many divisions of the same rows, and many strengths, solved together."""
