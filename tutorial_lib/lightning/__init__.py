"""What the experiments share with Lightning: loaders, optimizer, callbacks, resuming, commands."""
