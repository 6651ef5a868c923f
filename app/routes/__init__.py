"""HTTP: pages and the JSON API. They ask the engine and decide nothing."""
