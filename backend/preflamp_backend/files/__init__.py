"""Files that are whole or not there: text and tensors."""
