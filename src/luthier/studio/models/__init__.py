"""The models of all studies: which are kept, how good they are, what they say, which one is used.

The server loads no model: predictions come from processes of `luthier.serving`, everything else that needs one from
`luthier.models.aside`.
"""
