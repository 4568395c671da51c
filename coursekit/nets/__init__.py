"""Networks, one idea a module: the Keras ones here take tables and images, those in PyTorch take sets of particles."""
