"""What runs inside the confined process. Standard library only until the application's code asks for more."""
