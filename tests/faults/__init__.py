"""Every call that changes the disk fails once, and every reader gets bytes that nobody would write."""
