"""Prompts and responses as token ids, and in-context prompts from what a user wrote."""
