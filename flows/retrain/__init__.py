"""Retraining: the flow, the challenge, and the promotion of its winner."""
