"""The colours and fonts of the page."""

import gradio as gr

COLOURS = {  # paper and ink: light, dark
    **dict.fromkeys(("body_background_fill", "input_background_fill"), ("#f6f4ef", "#121418")),
    **dict.fromkeys(("background_fill_primary", "block_background_fill"), ("#fffefb", "#1a1d23")),
    **dict.fromkeys(("body_text_color", "block_label_text_color", "block_title_text_color"), ("#1e2127", "#f1eee7")),
    **dict.fromkeys(("body_text_color_subdued", "block_info_text_color"), ("#5f626b", "#a5a8b0")),
    "border_color_primary": ("#ddd8cd", "#343943"),
    **dict.fromkeys(("input_border_color", "checkbox_border_color"), ("#8a8578", "#767c88")),
    "input_placeholder_color": ("#6b6e76", "#a5a8b0"),
    "button_primary_background_fill": ("#5b3fa8", "#b79cff"),
    "button_primary_background_fill_hover": ("#4a3190", "#cbb8ff"),
    "button_primary_text_color": ("#ffffff", "#1a1d23"),
    "button_secondary_background_fill": ("transparent", "transparent"),
    "button_secondary_background_fill_hover": ("#ece8df", "#262a32"),
    "button_secondary_border_color": ("#b9b3a5", "#565c68"),
    "slider_color": ("#5b3fa8", "#b79cff"),
}
THEME = gr.themes.Base(
    primary_hue="violet", neutral_hue="stone", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    button_border_width="1px",
    input_border_width="1px",
    color_accent="#5b3fa8",
    **{name: light for name, (light, _) in COLOURS.items()},
    **{f"{name}_dark": dark for name, (_, dark) in COLOURS.items()},
)
