"""One definition per feature: how an event changes state, and how state becomes a value, offline and online alike."""
