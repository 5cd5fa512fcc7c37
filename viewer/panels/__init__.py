"""The controls beside the picture: one file a group, each built anew for every browser."""
