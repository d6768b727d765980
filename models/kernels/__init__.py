"""Training kernels in C++ for the CPU: sources, build, layers."""
