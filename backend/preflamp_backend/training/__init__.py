"""What all reward models are trained by: pairs, features, the loop."""
