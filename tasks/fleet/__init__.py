"""Roll-outs to a fleet of boards: state and execution."""
