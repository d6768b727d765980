"""Retraining as plain logic: champions, reasons, gates, drift."""
