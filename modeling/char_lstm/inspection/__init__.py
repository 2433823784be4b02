"""What a model does while it reads a text: the numbers, the page that shows them, and how far gradients reach."""
