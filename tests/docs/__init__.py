"""What the repository says about itself is true: its texts, its examples, its shape."""
