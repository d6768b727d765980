"""The content-addressed store, receipts, locks, garbage and code digests."""
