"""Images: records, batches, archives, corruptions."""
