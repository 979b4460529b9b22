"""Submissions: anyone may send a network; it is checked as bytes, measured in a sandbox and put on the board.

`desk` is what the form and the endpoints ask, `validation` reads what was sent without loading it, `store` keeps it,
`worker` has it measured in `sandbox`, and `rows` makes a row of the board of what came back.
"""
