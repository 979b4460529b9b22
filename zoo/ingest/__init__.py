"""Other people's files made into datasets: public originals, class folders of pictures, and what users bring."""
