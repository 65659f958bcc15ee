"""One module per suite: the experiments of the papers, each behind one command."""
