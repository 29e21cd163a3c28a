"""A .tflite file → a loaded network, its card and its convention."""

PHOTO_MODEL = "unet-photo"  # for photos: whatever is their subject
PEOPLE_MODEL = "unet-people"  # for booths and portraits: people with what they wear or hold, nothing else
LIVE_MODEL = "unet-live"  # for cameras and video
ANY_MODEL = "unet-any"  # for one subject that is followed through a moving picture, whatever it is
