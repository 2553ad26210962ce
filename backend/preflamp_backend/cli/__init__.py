"""The commands that need the backend; the core finds them by their entry points."""
