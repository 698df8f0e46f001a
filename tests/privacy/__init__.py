"""That people cannot be recognised where an application or its device says so, and that pixels stay where they are."""
