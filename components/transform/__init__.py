"""Raw features → what the models embed: one graph, learnt from the training split, carried inside each SavedModel."""
