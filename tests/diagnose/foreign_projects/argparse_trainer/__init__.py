"""A trainer with command-line arguments in the manner of CMGAN's, before and after a refactor of the normalisation."""
