"""What predictions are written as: the columns, one file for each format of a table, and the table of formats."""
