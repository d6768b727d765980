"""The engine: what a stage is, its key, and the one place that decides whether it runs. It does not know Prefect."""
