"""Event log → labelled samples, each as of the moment of its event; drawn negatives; splits; statistics for people."""
