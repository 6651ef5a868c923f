"""What runs the studio: uvicorn, logging, and the one place where all parts are put together."""
