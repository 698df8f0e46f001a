"""The owner's account on a laptop: moto's server, and what it lacks.

moto keeps the state of most services. Here is what has to happen for the stacks to be deployed and to run: resource
types that CloudFormation needs, functions that run their deployed zip, rules that look at messages, Greengrass
deployments, fleet provisioning, compilation jobs. One file per concern; each has ``install(world)``, called once by
``server``. What is not emulated fails and says so.
"""
