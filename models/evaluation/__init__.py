"""Evaluation of a checkpoint: metrics, comparisons, robustness, cost."""
