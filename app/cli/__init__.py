"""The command line: verbs, options, what is shown. Only this package prints or exits."""
