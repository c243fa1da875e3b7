"""The trained parts at work offline: samples in, recommended rows out, as evaluation and bulk lists need them."""
