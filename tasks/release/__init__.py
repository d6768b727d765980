"""Build releases, and compare compiled models with their checkpoint."""
