"""Processes that read bytes of strangers: their limits (`spawning`), and what they give up (`confinement`)."""
