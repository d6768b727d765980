"""The Prefect server of this home, or the one that `PREFECT_API_URL` names."""
