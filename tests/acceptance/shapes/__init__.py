"""What somebody's schema might hold: shapes of columns and tables for the round trips."""

CASCADE = "on_dependents => 'cascade'"
KEEP = "on_dependents => 'keep'"
PUBLISHED = "published_ok => true"
SOFT = ("soft_drop_column",)
ARCHIVE = ("archive_column",)
