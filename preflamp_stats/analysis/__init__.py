"""One pass from an opened results file to every table."""
