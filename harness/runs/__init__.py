"""The life of a run: its folder, its servers, what it wrote down, and who clears up after it."""
