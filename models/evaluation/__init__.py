"""What a checkpoint is worth: metrics, comparisons, robustness, cost."""
