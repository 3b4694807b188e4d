"""A kept model behind an address: requests checked in one process, predictions made in another, both kept alive."""
