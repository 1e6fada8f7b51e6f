"""Where artefacts are kept: objects by hash in four layers, and the SILVER tables over them."""
