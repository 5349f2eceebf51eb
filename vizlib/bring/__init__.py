"""What comes from elsewhere: files that become a data set, a run, or answers to check."""
