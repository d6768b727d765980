"""What lets scripts for MindSpore 1.x run on MindSpore 2.x; this folder goes on the module path of a job."""
