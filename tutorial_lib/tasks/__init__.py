"""The LightningModules of the book's tasks: each is handed its network."""
