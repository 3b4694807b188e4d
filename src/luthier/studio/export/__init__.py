"""What leaves the studio as a file: trials, a report, the question, the database."""
