"""Exported programs of PyTorch (extra ``torch``): the serving runtime and the packer, no pickle."""
