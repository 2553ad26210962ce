"""Models that a server runs: the OpenAI-compatible API in place of weights of our own."""
