"""What the Prefect UI and the files show of a run."""
