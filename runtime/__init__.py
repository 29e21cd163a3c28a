"""What runs on the device: photo in, matte out. numpy, OpenCV, one TFLite interpreter and Typer, nothing else."""
