"""The public functions, which `import regraft` shows and the command line calls.

What they share: a path may be a string or a `Path`; a string where a list is expected is one path. `progress` is a bar
in a terminal or notebook (True), silence (False) or an object of your own with the methods of
`regraft.Progress`. A call leaves the process as it was: seeds of Python and NumPy, Keras's dtype policy,
environment, file descriptors. Calls that change these meanwhile run one at a time; a second thread is refused in one
line. Every mistake of a user is a `RegraftError` whose message is one line.
"""
