"""Lessons as the app shows them: a strip on top of the page that a step speaks of."""
