"""The stand-in for MoXing; this folder goes on the module path of jobs, notebooks and shells of the twin."""
