"""One module for each resource of the JSON API."""
