"""What is kept: studies, trials and reports in SQLite or PostgreSQL."""
