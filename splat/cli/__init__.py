"""The command line: one file a command, each with its options as a dataclass and `main(arguments)`."""
