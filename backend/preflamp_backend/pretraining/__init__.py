"""Small causal language models trained from scratch, where no trained model can be had."""
