"""What people type: one file per verb, each light until it runs."""
