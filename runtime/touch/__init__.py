"""A photo's alpha by hand: a page on this device, where strokes say what no network knows."""
