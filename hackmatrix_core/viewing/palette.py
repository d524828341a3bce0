"""The colours of boards and charts."""

PALETTE = {
    # The colours of Okabe and Ito, which the colour-blind can tell apart; each also has a letter or a shape.
    "virus": "#e8702a",
    "daemon": "#cc79a7",
    "glitch": "#e6b34d",
    "cryptog": "#56b4e9",
    "player": "#ffffff",
    "credits": "#f0e442",
    "energy": "#2fc99a",
    "exit": "#2fc99a",
    "data siphon": "#56b4e9",
    "data block": "#46536b",
    "program block": "#5f4a73",
    "spawn": "#ff9d5c",
    "siphoned": "#7d8aa0",
    # The surfaces: dark, because these colours are light.
    "panel": "#151a22",
    "cell": "#222a36",
    "line": "#46536b",
    "ink": "#eef2f8",
    "faint": "#9aa7ba",
    "dark": "#10141b",
}
"""Colours by what they stand for, as #rrggbb."""
