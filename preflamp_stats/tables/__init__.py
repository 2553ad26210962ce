"""One file a table: its rows, its caption, how to read it, and what it says in words."""
