"""A project and what it is made of: settings, secrets, stages bound to their prompts, locks."""
