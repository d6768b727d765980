"""One stage a file: a plain function, its key, and a thin Prefect task around it."""
