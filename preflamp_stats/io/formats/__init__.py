"""Files of other tools: a file of this package a tool, each a function from records to rows."""
