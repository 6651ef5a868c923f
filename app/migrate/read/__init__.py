"""Migration files of any tool: their layouts, directions, steering comments and statements."""
