"""How a page of handwriting becomes what a network sees: patches of it, or descriptors of its keypoints."""
