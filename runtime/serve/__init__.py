"""A service of this device: pictures come by HTTP, cut-outs go back."""
