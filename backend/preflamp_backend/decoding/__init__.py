"""Decoding: plain, reward-guided, guided by an autoregressive reward model, best-of-n."""
