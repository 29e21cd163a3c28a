"""Many photos → their cut-outs: what is meant, cut by one process, several or a cluster, and what is said of it."""
