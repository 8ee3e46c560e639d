"""Does a noise condition work? Instruments, each shown on a planted positive and a planted null, and verdicts."""
