"""Sync: from manifests and live objects to a plan, and from the plan to API calls that a killed controller resumes."""
