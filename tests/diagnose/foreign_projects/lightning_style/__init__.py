"""A data module and a module with ``training_step``, as Lightning projects lay them out."""
