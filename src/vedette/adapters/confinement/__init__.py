"""What a process gives up before it touches what nobody trusts: a model, or an application's own code.

Standard library only, and nothing of the package is imported before it is needed: a confined process is to be small.
``walls.build`` puts up everything the kernel offers and says what is missing.
"""
