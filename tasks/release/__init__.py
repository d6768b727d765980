"""What a release is made of, and how compiled models are compared with the checkpoint."""
