"""New studies: the page on which a study is set up, and everything it needs to know."""
