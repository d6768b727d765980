"""One stage a file: a plain function and the value `STAGE` that describes it."""
