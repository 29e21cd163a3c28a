"""A .tflite file → a loaded network, its card and its convention."""

PHOTO_MODEL = "unet-photo"  # for photos: whatever is their subject
LIVE_MODEL = "unet-live"  # for cameras and video
