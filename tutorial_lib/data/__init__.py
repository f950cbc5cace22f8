"""The data of the book's tasks: one file a task, its Dataset and its LightningDataModule."""
