"""The pages people use in a browser. All of them are for those who are signed in (LoginRequiredMiddleware)."""
