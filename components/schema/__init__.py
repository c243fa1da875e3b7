"""The contracts between the parts: events, catalogue, samples, release manifest."""
