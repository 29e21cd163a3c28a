"""One chosen subject of a moving picture is kept, while others pass by and things come before it."""
