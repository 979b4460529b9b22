"""The board: metrics, evaluation, records and the table that ranks them."""
