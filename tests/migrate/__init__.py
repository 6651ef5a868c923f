"""The judge of `zanith migrate plan`: PostgreSQL runs each form, and the plan may not say less."""
