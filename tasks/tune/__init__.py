"""Tuning as plain logic: the search space, the study, trials, pruning, reports."""
