"""What both trainers share: reading samples, the item table, the TFX adapter, early stopping."""
