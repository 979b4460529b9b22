"""The look of the Space: one Gradio theme and one style sheet, light and dark, without external resources."""

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).with_name("theme.css")

SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]

# name of Gradio's variable: (light, dark)
COLOURS = {
    "body_background_fill": ("#faf9f7", "#141416"),
    "body_text_color": ("#1d1c1a", "#eceae6"),
    "body_text_color_subdued": ("#69655e", "#a29e97"),
    "background_fill_primary": ("#ffffff", "#1c1c1f"),
    "background_fill_secondary": ("#f3f1ed", "#232327"),
    "block_background_fill": ("transparent", "transparent"),
    "block_label_text_color": ("#69655e", "#a29e97"),
    "block_title_text_color": ("#69655e", "#a29e97"),
    "border_color_primary": ("#e4e0d9", "#303035"),
    "border_color_accent": ("#2f54c8", "#93a8ff"),
    "color_accent_soft": ("#e9edfb", "#262b45"),
    "link_text_color": ("#2f54c8", "#93a8ff"),
    "input_background_fill": ("#ffffff", "#1c1c1f"),
    "input_placeholder_color": ("#736f68", "#96928b"),
    "checkbox_label_background_fill": ("#ffffff", "#1c1c1f"),
    "checkbox_label_background_fill_hover": ("#f3f1ed", "#232327"),
    "checkbox_label_background_fill_selected": ("#e9edfb", "#262b45"),
    "checkbox_label_border_color": ("#e4e0d9", "#303035"),
    "checkbox_label_border_color_selected": ("#2f54c8", "#93a8ff"),
    "checkbox_label_text_color_selected": ("#1d1c1a", "#eceae6"),
    "checkbox_background_color": ("#ffffff", "#1c1c1f"),
    "checkbox_background_color_selected": ("#2f54c8", "#5f7be8"),
    "checkbox_border_color_selected": ("#2f54c8", "#5f7be8"),
    "table_even_background_fill": ("#ffffff", "#1c1c1f"),
    "table_odd_background_fill": ("#ffffff", "#1c1c1f"),
    "table_border_color": ("#e4e0d9", "#303035"),
    "table_text_color": ("#1d1c1a", "#eceae6"),
}


def theme() -> gr.themes.Base:
    """Return the Gradio theme: plain surfaces, hairlines, one ink-blue accent, the visitor's own fonts."""
    shape = {
        "block_border_width": "0px",
        "block_padding": "0px",
        "block_shadow": "none",
        "block_label_background_fill": "transparent",
        "checkbox_label_padding": "6px 12px",
        "checkbox_label_shadow": "none",
        "input_border_width": "1px",
        "layout_gap": "24px",
        "color_accent": "#2f54c8",  # has no dark twin here: see theme.css
    }
    light = {name: pair[0] for name, pair in COLOURS.items()}
    dark = {f"{name}_dark": pair[1] for name, pair in COLOURS.items()}
    base = gr.themes.Base(font=SANS, font_mono=MONO, radius_size="md", text_size="md")
    return base.set(**shape, **light, **dark, block_border_width_dark="0px", block_shadow_dark="none")
