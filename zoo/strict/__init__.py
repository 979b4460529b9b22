"""Readers of what strangers wrote that refuse whatever is not known to be harmless, without running any of it.

Submissions are checked by them, and so is a Keras model before `zoo.load_model` has Keras build it.
"""
