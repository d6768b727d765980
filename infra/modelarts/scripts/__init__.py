"""Users' own training scripts as ModelArts jobs."""
