"""What a person does with studies and trials besides running them: find, put away, delete, note, tag, try again, fetch files."""
