"""Submissions: anyone may send a network; it is checked as bytes, measured in a sandbox and put on the board.

`offers` and `intake` answer the form and the endpoints, `checks` reads what was sent without loading it, `lifecycle` is
a submission and its transitions, `store` keeps it, `worker` has it measured in `sandbox`, `scoring` makes a row of the
board of what came back, and `publishing` puts it there. `supervision` keeps workers running.
"""
