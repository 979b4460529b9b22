"""Make datasets from files: public originals, class folders of pictures, and what users bring."""
