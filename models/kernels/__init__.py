"""Training kernels for a CPU in C++: their build, and the layers that use them."""
