"""Groups of commands that run no flow: the evidence, the models, a stack on one machine."""
