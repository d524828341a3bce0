"""What people look at: boards as text, SVG and picture, recorded games, the player that replays them, and charts."""
