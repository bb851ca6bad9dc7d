"""What one finished run has learnt, looked at."""
