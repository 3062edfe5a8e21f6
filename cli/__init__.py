"""The command line: thin. No rule and no SQL; it calls the rooms below and shows what they answer.

Nothing heavy is imported when a module here is; a command imports what it needs when it runs.
"""
