"""Looks at a project: how things stand, what was spent, single items. No request, no key, nothing written."""
