"""What is written about every row, who writes it, and how it is read and proved."""
