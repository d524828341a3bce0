"""One game as text, SVG and picture: `contents` says what there is to see, and `shapes` how SVG and picture draw it."""
