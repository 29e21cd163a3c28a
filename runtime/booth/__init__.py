"""`edgematte booth`: a photo booth for people without a technician; needs `pip install 'edgematte[booth]'`."""
