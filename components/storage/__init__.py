"""Object stores: which places are in one, and copies between one and this machine."""
