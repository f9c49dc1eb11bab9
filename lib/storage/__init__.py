"""Storage: files that appear whole, locks, the folders of runs and results, access to the hub, and the two things that every room
shares: one-sentence errors and typed settings. It knows nothing of models or rewards, needs no torch, and imports no other room."""
