"""On-premises MLOps pipeline for network security: connection logs in, a detector with its evidence out."""

__version__ = "0.1.0"
