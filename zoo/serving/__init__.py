"""Trained networks answering without Keras: runtimes, the predictor, and what an answer rests on."""
