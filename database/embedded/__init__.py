"""The PostgreSQL that comes with Meguri: started when first needed, shared by commands, stopped after the last.

Never deletes data. Only one server ever runs on a data folder: locks that die with their holder say so, not
process ids. Nothing outside `database` imports from here but `database.opening`'s callers through it, and tests.
"""
