"""The public functions, which `import regraft` shows and the command line calls.

What they share: a path may be a string or a `Path`; a string where a list is expected is one path. `progress` is a bar
in a terminal or notebook (True), silence (False) or an object of your own with the methods of `regraft.Progress`. A
call puts back what it changes for the whole process: random states of Python and NumPy, Keras's dtype policy, its own
environment variables. Such calls run one at a time: a second thread is refused in one line, except that opening a model
waits up to five minutes. Every mistake of a user is a `RegraftError` whose message is one line.
"""
