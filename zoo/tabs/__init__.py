"""The zoo's tabs in the Space: the only modules of the package that know Gradio."""
