"""The demo page, and the access check of served pages. The page knows no models: it gets predictors."""
