"""A folder of images in, labels out."""
