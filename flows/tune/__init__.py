"""Tuning: the flow, the search, and the workers that run trials."""
