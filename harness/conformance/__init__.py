"""One suite for every backend, and the table of what each can do."""
