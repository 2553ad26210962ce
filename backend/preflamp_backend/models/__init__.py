"""Models: where they come from, how they are loaded and tried, trees and their cache."""
