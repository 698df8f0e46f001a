"""What runs between the host and an application's own program: it confines, starts, and looks after it."""
