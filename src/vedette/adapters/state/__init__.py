"""The state directory: who owns it, what is attached, what the plan is. Standard library and pydantic only.

Import from the modules: every process needs some of them, and none of them all.
"""
