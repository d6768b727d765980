"""The demo page. It knows no models: it is given callables that answer."""
